"""Qwen3-VL's vision tower, run on a batch of pictures of one size at once: the same weights, the same result.

transformers splits attention by picture, which a CPU pays for; and a still needs only one of the two frames of a
temporal patch, since both are the same.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb_vision
from transformers.vision_utils import (
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
)


def patches(pictures: Tensor, patch: int, merge: int) -> Tensor:
    """Pictures (B, H, W, 3), normalized, as patches (B, H*W/patch², 3*patch²) in the order of the processor."""
    batch, height, width, channels = pictures.shape
    rows, columns = height // patch, width // patch
    x = pictures.reshape(batch, rows // merge, merge, patch, columns // merge, merge, patch, channels)
    return x.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch, rows * columns, channels * patch * patch)


class BatchedTower(nn.Module):
    """Runs the weights of a Qwen3VLVisionModel on stills of one size; holds no weights of its own."""

    tower: Any
    indices: Tensor
    weights: Tensor
    positions: Tensor

    def __init__(self, tower: Any, height: int, width: int) -> None:
        super().__init__()
        self.__dict__["tower"] = tower  # not a submodule: its weights are saved with their own model
        patch = tower.config.patch_size
        self.grid = torch.tensor([[1, height // patch, width // patch]])
        side, merge = tower.num_grid_per_side, tower.config.spatial_merge_size
        indices, weights = get_vision_interpolation_indices_and_weights(
            self.grid,
            num_grid_per_side=side,
            mode=tower.interpolation_mode,
            align_corners=tower.interpolation_align_corners,
            spatial_merge_size=merge,
            kwargs={},
        )
        self.register_buffer("indices", indices, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("positions", get_vision_position_ids(self.grid, merge, kwargs={}), persistent=False)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures (B, H, W, 3) -> (B, tokens, hidden) for the decoder, and the same of each deepstack level."""
        tower = self.tower
        config = tower.config
        projection = tower.patch_embed.proj
        x = patches(pictures, config.patch_size, config.spatial_merge_size)
        x = functional.linear(x, projection.weight.sum(2).flatten(1), projection.bias)
        x = x + (tower.pos_embed(self.indices) * self.weights[:, :, None]).sum(1)
        cos, sin = tower.rotary_pos_emb(x, self.positions)
        deep: list[Tensor] = []
        for layer, block in enumerate(tower.blocks):
            x = x + self._attend(block.attn, block.norm1(x), cos, sin)
            x = x + block.mlp(block.norm2(x))
            if layer in config.deepstack_visual_indexes:
                merger = tower.deepstack_merger_list[config.deepstack_visual_indexes.index(layer)]
                deep.append(merger(x).view(len(x), -1, config.out_hidden_size))
        return tower.merger(x).view(len(x), -1, config.out_hidden_size), deep

    @staticmethod
    def _attend(attention: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = attention.qkv(x).view(batch, length, 3, attention.num_heads, -1).unbind(2)
        q, k = apply_rotary_pos_emb_vision(q, k, cos, sin)
        out: Tensor = functional.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        projected: Tensor = attention.proj(out.transpose(1, 2).reshape(batch, length, -1))
        return projected
