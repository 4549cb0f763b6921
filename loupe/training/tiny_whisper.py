"""A Whisper of less than a million parameters from nothing, in Hugging Face format: tokenizer, features, architecture.

English only, with time stamps, as openai/whisper-tiny.en; but for a shorter window and moments of twice the length:
a time stamp counts `window / max_source_positions` seconds (Whisper's own: 30 / 1500).
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

WINDOW_S = 8
HOP = 320
"""Samples between two spectra; the encoder joins two of them to a position of 40 ms."""
POSITIONS = WINDOW_S * 16_000 // HOP // 2
END, START, NO_TIMES = "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"
LONGEST = 64
"""Tokens of a window's transcript."""


def features() -> Any:
    """What makes log-mel spectra of samples."""
    return WhisperFeatureExtractor(feature_size=48, hop_length=HOP, n_fft=512, chunk_length=WINDOW_S)


def train_tokenizer(texts: Iterable[str], vocabulary: int = 1024) -> Any:
    """Byte-level BPE, in which common words are one token; then the special ones, the time stamps last."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    )
    trained = json.loads(bpe.to_str())["model"]
    tokenizer = WhisperTokenizer(vocab=trained["vocab"], merges=[tuple(merge) for merge in trained["merges"]])
    tokenizer.add_special_tokens({"pad_token": END, "additional_special_tokens": [START, NO_TIMES]})
    tokenizer.add_tokens([f"<|{time_of(number):.2f}|>" for number in range(POSITIONS + 1)])
    return tokenizer


def time_of(number: int) -> float:
    """Seconds of a time stamp."""
    return number * WINDOW_S / POSITIONS


def transcript(tokenizer: Any, lines: Iterable[tuple[int, int, str]]) -> list[int]:
    """Tokens of a window's lines (start and end in milliseconds): time, words, time, and so on, then the end."""
    first = tokenizer.convert_tokens_to_ids(NO_TIMES) + 1
    ids = [tokenizer.convert_tokens_to_ids(START)]
    for start_ms, end_ms, text in lines:
        start, end = (first + min(POSITIONS, round(ms * POSITIONS / WINDOW_S / 1000)) for ms in (start_ms, end_ms))
        ids += [start, *tokenizer(" " + text, add_special_tokens=False).input_ids, end]
    return [*ids, tokenizer.convert_tokens_to_ids(END)]


def untrained(tokenizer: Any, seed: int = 0) -> Any:
    """The architecture with random weights."""
    torch.manual_seed(seed)
    end, start, no_times = (tokenizer.convert_tokens_to_ids(token) for token in (END, START, NO_TIMES))
    config = WhisperConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        num_mel_bins=48,
        d_model=128,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=256,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=256,
        max_source_positions=POSITIONS,
        max_target_positions=LONGEST,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        decoder_start_token_id=start,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        attn_implementation="eager",
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=start,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        max_length=LONGEST,
        is_multilingual=False,
        no_timestamps_token_id=no_times,
        max_initial_timestamp_index=None,
        prev_sot_token_id=None,
    )
    return model


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write model, tokenizer and feature extractor; weights as float16, to be computed with in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().to("cpu", torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    features().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
