"""Muon (Keller Jordan, 2024): momentum, then each matrix's update made orthogonal by a Newton-Schulz iteration.

Scaled as in Moonlight (arXiv 2502.16982) so that AdamW's learning rates hold. In float32, unlike torch.optim.Muon,
whose bfloat16 products a CPU without such instructions computes a hundred times slower.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonal(x: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with all singular values about 1 (0.7 to 1.2)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """For hidden matrices; embeddings, heads and vectors belong to AdamW."""

    def __init__(self, params: Iterable[Any], lr: float = 2e-3, momentum: float = 0.95, weight_decay: float = 0.05):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                held = state.setdefault("momentum", torch.zeros_like(parameter))
                held.lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonal(parameter.grad.lerp(held, group["momentum"]))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * 0.2 * max(parameter.shape) ** 0.5)


class MuonAndAdam:
    """Muon for the hidden matrices of a model, AdamW for all else, behind one face."""

    def __init__(self, hidden: Iterable[Tensor], others: Iterable[Tensor], lr: float, weight_decay: float = 0.05):
        self.muon = Muon(list(hidden), lr=lr, weight_decay=weight_decay)
        self.adam = torch.optim.AdamW(list(others), lr=lr, betas=(0.9, 0.98), weight_decay=0.0)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [*self.muon.param_groups, *self.adam.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.muon.zero_grad(set_to_none)
        self.adam.zero_grad(set_to_none)

    def step(self) -> None:
        self.muon.step()
        self.adam.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.muon.load_state_dict(state_dict["muon"])
        self.adam.load_state_dict(state_dict["adam"])


def hidden_and_others(model: torch.nn.Module, blocks: str) -> tuple[list[Tensor], list[Tensor]]:
    """The trained parameters of a model: matrices inside `blocks` (a part of their names), and the rest."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden: list[Tensor] = [p for name, p in named if blocks in name and p.ndim == 2]
    return hidden, [p for name, p in named if not (blocks in name and p.ndim == 2)]
