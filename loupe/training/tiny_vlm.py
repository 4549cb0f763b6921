"""A Qwen3-VL of a few million parameters from nothing, in Hugging Face format: tokenizer, processor, architecture."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast, Qwen3VLConfig

VOCABULARY = 1536
PIXELS = 128 * 96
"""Area to which every picture is brought: 192 patches of 8 px, 48 tokens for the decoder."""
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
PIECES = r"""[.\]}",{]*"[a-z_]+":[\["{]*| ?[A-Za-z]+|\d| ?[^\sA-Za-z\d]+|\s"""
"""A JSON key with the punctuation around it, a word, a digit, other punctuation, one white space."""
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content -%}
{%- if part.type in ('image', 'image_url') or 'image' in part -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' or 'video' in part -%}
<|vision_start|><|video_pad|><|vision_end|>
{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor %}{% endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}"""


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Any:
    """Byte-level BPE: any text comes back as it was; digits stand alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast: Any = PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL[1:]),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )


def tiny_config(tokenizer: Any) -> Qwen3VLConfig:
    """The architecture; the vocabulary is rounded up to a multiple of 64."""

    def token(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(name))

    ends: dict[str, Any] = {
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
        "bos_token_id": None,
    }
    return Qwen3VLConfig(
        architectures=["Qwen3VLForConditionalGeneration"],
        dtype="float32",
        vision_config={
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_heads": 4,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": 256,
            "out_hidden_size": 192,
            "deepstack_visual_indexes": [1],
        },
        text_config={
            # vLLM builds the text part by this name
            "architectures": ["Qwen3ForCausalLM"],
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "max_position_embeddings": 8192,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [12, 10, 10],
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": True,
            **ends,
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
        **ends,
    )


def untrained(tokenizer: Any, seed: int = 0) -> Any:
    """The architecture with random weights."""
    torch.manual_seed(seed)
    auto: Any = AutoModelForImageTextToText
    return auto.from_config(tiny_config(tokenizer))


def with_words(model: Any, old: Any, new: Any) -> Any:
    """A model that was trained with the tokenizer `old`, for the tokenizer `new`: all else stays as it was learned.

    A token of the new one begins as the mean of those that the old one made of its text.
    """
    other = type(model)(tiny_config(new))
    weights = model.state_dict()
    was = model.get_input_embeddings().weight.detach()
    embedded = was.mean(0).repeat(other.get_input_embeddings().num_embeddings, 1)
    for number in range(len(new)):
        pieces = old(new.decode([number]), add_special_tokens=False).input_ids
        if pieces:
            embedded[number] = was[pieces].mean(0)
    for name, value in weights.items():
        if len(value) == len(was) and value.shape == was.shape:
            weights[name] = embedded
    other.load_state_dict(weights)
    return other.to(was.device)


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write model, tokenizer and processor configs; weights as float16, to be computed with in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().to("cpu", torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = config["text_config"]["dtype"] = config["vision_config"]["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text(
        json.dumps({"do_sample": False, "eos_token_id": config["eos_token_id"], "pad_token_id": config["pad_token_id"]})
    )
    pictures = {
        "processor_class": "Qwen3VLProcessor",
        "patch_size": 8,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": PIXELS, "longest_edge": PIXELS},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    pictures_file = {"image_processor_type": "Qwen2VLImageProcessor", **pictures}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures_file, indent=2) + "\n")
    videos_file = {"video_processor_type": "Qwen3VLVideoProcessor", **pictures}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(videos_file, indent=2) + "\n")
