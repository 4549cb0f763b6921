"""JSON schemas as masks over a model's next token.

The lengths of strings are left to whoever parses the reply. xgrammar 0.2.8 writes a string with a length as plain
characters: it then allows raw control characters, which is not JSON, and refuses escapes, so that a caption could
not quote a sign.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import xgrammar

from loupe.engines.checkpoint import Checkpoint
from loupe.engines.protocol import RequestError
from loupe.engines.schemas import without_string_lengths

COMPACT: dict[str, Any] = {"any_whitespace": False, "separators": (",", ":")}
"""JSON as pydantic writes it. xgrammar's own way without whitespace still has a space after each comma and colon."""


CACHE_BYTES = 256 << 20
"""Of compiled schemas."""


class Grammars:
    """The schemas that a model's replies are held to; each is compiled once, and the newest are kept."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        info = xgrammar.TokenizerInfo.from_huggingface(
            checkpoint.tokenizer, vocab_size=checkpoint.vocabulary, stop_token_ids=list(checkpoint.stop_ids)
        )
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=threads, cache_limit_bytes=CACHE_BYTES)

    def matcher(self, schema: dict[str, Any]) -> xgrammar.GrammarMatcher:
        """A fresh start of a schema, as JSON without whitespace. Raises RequestError for one that does not compile."""
        try:
            compiled = self._compiler.compile_json_schema(json.dumps(without_string_lengths(schema)), **COMPACT)
        except RuntimeError as error:
            raise RequestError(f"the schema cannot be compiled: {error}") from error
        return xgrammar.GrammarMatcher(compiled)


def compact_json(schema: dict[str, Any]) -> str:
    """The same language in EBNF, for engines that would hold a schema to JSON of another shape."""
    return _compact_json(json.dumps(without_string_lengths(schema)))


@lru_cache
def _compact_json(schema: str) -> str:
    return str(xgrammar.Grammar.from_json_schema(schema, **COMPACT))


def mask(logits: torch.Tensor, matchers: Sequence[xgrammar.GrammarMatcher]) -> None:
    """Set to -inf, in place, what a row's matcher does not allow next. `logits` is [rows, vocabulary]."""
    bits = xgrammar.allocate_token_bitmask(*logits.shape)
    for row, matcher in enumerate(matchers):
        matcher.fill_next_token_bitmask(bits, row)
    xgrammar.apply_token_bitmask_inplace(logits, bits.to(logits.device))
