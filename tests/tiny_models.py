"""Tiny models with random weights, in the folders that transformers writes: three families, seconds to make."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
)  # fmt: skip
LENGTH = 512
"""Tokens of a prompt and a reply, at most."""
PADDED_VOCABULARY = 640
"""The tokenizer knows fewer."""


def chat_template(picture: str) -> str:
    """ChatML; `picture` stands for one."""
    return (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
        "{% if part.type == 'image' %}" + picture + "{% else %}{{ part.text }}{% endif %}"
        "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def tokenizer(picture: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE, trained on JSON-like text."""
    byte_level = Tokenizer(tokenizer_models.BPE())
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    byte_level.train_from_iterator(
        _sentences(),
        trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=byte_level, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    fast.chat_template = chat_template(picture)
    return fast


def qwen3_vl(folder: Path) -> Path:
    """The family of the demo's captioner; its processor does not load without torchvision."""
    tokens = tokenizer("<|vision_start|><|image_pad|><|vision_end|>")
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config={**_text(), "head_dim": 16, "rope_parameters": rope},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 8,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
            "initializer_range": 0.2,
        },
        image_token_id=tokens.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokens.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokens.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokens.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    pictures = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 32 * 32, "longest_edge": 32 * 48}
    )
    return _save(folder, Qwen3VLForConditionalGeneration, config, tokens, pictures)


def smolvlm(folder: Path) -> Path:
    """SmolVLM2: pictures of one size, one [batch, pictures, 3, height, width] tensor a batch."""
    tokens = tokenizer("<image>")
    config = SmolVLMConfig(
        text_config=LlamaConfig(**_text()),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "initializer_range": 0.2,
        },
        scale_factor=2,
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        pad_token_id=tokens.pad_token_id,
        tie_word_embeddings=True,
    )
    pictures = SmolVLMImageProcessorPil(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    saved = _save(folder, SmolVLMForConditionalGeneration, config, tokens, pictures)
    # as on the hub: the names of the classes that its authors had
    (folder / "processor_config.json").write_text('{"processor_class": "SmolVLMProcessor", "image_seq_len": 4}')
    preprocessor = folder / "preprocessor_config.json"
    preprocessor.write_text(preprocessor.read_text().replace("SmolVLMImageProcessorPil", "SmolVLMImageProcessor"))
    return saved


def llama(folder: Path) -> Path:
    """A model of text alone."""
    return _save(folder, LlamaForCausalLM, LlamaConfig(**_text()), tokenizer(""))


def _text() -> dict[str, Any]:
    return {
        "vocab_size": PADDED_VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": LENGTH,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "eos_token_id": SPECIAL.index("<|im_end|>"),
        "bos_token_id": None,
    }


def _save(folder: Path, kind: Any, config: Any, *parts: Any) -> Path:
    torch.manual_seed(0)
    model = kind(config)
    model.generation_config.eos_token_id = SPECIAL.index("<|im_end|>")
    model.generation_config.pad_token_id = 0
    for part in (model, *parts):
        part.save_pretrained(folder)
    return folder


def _sentences() -> Iterator[str]:
    words = ["a", "red", "round", "person", "with", "cap", "walks", "in", "the", "harbour", "and", "kitchen", "sits"]
    for start in range(len(words)):
        sentence = " ".join(words[start:] + words[:start])
        yield f'{{"caption":"{sentence}.","subjects":["{sentence[:20]}"],"actions":[],"place":"{words[start]}"}}'
