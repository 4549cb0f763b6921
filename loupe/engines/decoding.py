"""The decoding loop: a batch of prompts to its replies, each row by its own schema, length and temperature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import xgrammar

from loupe.engines.checkpoint import Checkpoint
from loupe.engines.grammar import mask

STILL_WORTH = 0.75
"""Share of rows at work below which the finished ones are taken out of the batch."""


@dataclass
class Row:
    """One reply being written."""

    max_tokens: int
    temperature: float = 0.0
    matcher: xgrammar.GrammarMatcher | None = None
    """What holds the reply to its schema; None leaves it free."""
    wants_logprobs: bool = False
    wants_likeliest: int = 0
    heard: Callable[[int], None] | None = None
    """Called with each token that is written."""
    tokens: list[int] = field(default_factory=list)
    """What was written, with the token that ends the reply if the model wrote one."""
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    """Beside `logprobs`: of the whole distribution that each token came from."""
    likeliest: list[list[tuple[int, float]]] = field(default_factory=list)
    """Beside `logprobs`: so many tokens as are wanted, with their log-probabilities."""
    finish_reason: str = ""
    """Empty while the row is being written."""


def write(checkpoint: Checkpoint, inputs: dict[str, Any], rows: Sequence[Row]) -> None:
    """Fill the rows' tokens, log-probabilities and finish reasons. `inputs` are those of a left-padded batch."""
    with torch.inference_mode():
        checkpoint.model.generate(
            **inputs,
            custom_generate=_loop,  # `generate` prepares positions, masks and the cache as each family wants them
            rows=list(rows),
            stop_ids=frozenset(checkpoint.stop_ids),
            vocabulary=checkpoint.vocabulary,
            max_new_tokens=max(row.max_tokens for row in rows),
            do_sample=False,
        )


def _loop(
    model: Any,
    input_ids: torch.Tensor,
    rows: list[Row],
    stop_ids: frozenset[int],
    vocabulary: int,
    logits_processor: Any = None,
    stopping_criteria: Any = None,
    generation_config: Any = None,
    **state: Any,
) -> torch.Tensor:
    """One forward pass a token. The arguments without a use here are those that `generate` passes to any loop."""
    inputs = model.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **state)
    while True:
        output = model(**inputs, return_dict=True)
        logits = output.logits[:, -1].float()
        chosen = choose(logits[:, :vocabulary], rows)
        _record(logits, chosen, rows, stop_ids)
        state = model._update_model_kwargs_for_generation(output, state)
        working = [index for index, row in enumerate(rows) if not row.finish_reason]
        if not working:
            return input_ids
        input_ids = torch.cat([input_ids, chosen[:, None]], dim=1)
        if len(working) < STILL_WORTH * len(rows):
            rows = [rows[index] for index in working]
            input_ids, state = _keep(torch.tensor(working, device=input_ids.device), input_ids, state)
        inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **state)


def choose(logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """The next token of every row, [rows]; matchers move on by it. Does not change `logits`, [rows, vocabulary].

    A token is chosen without a mask first, and the mask is made only where the grammar refuses it: a model that
    was trained on the schema hardly ever needs one. The odds stay those of the masked distribution: with Z the
    probability of all that is allowed, a token's are p + (1 - Z) p / Z = p / Z.
    """
    chosen = _draw(logits, [row.temperature for row in rows])
    held = [(index, row.matcher) for index, row in enumerate(rows) if row.matcher and not row.finish_reason]
    if not held:
        return chosen
    tokens = chosen.tolist()
    refused = [(index, matcher) for index, matcher in held if not matcher.accept_token(tokens[index])]
    if refused:
        indices = [index for index, _ in refused]
        masked = logits[indices]
        mask(masked, [matcher for _, matcher in refused])
        chosen[indices] = _draw(masked, [rows[index].temperature for index in indices])
        for index, matcher in refused:
            matcher.accept_token(int(chosen[index]))
    return chosen


def _draw(logits: torch.Tensor, temperatures: Sequence[float]) -> torch.Tensor:
    chosen = logits.argmax(dim=-1)
    warm = [index for index, temperature in enumerate(temperatures) if temperature > 0]
    if warm:
        scale = torch.tensor([temperatures[index] for index in warm], device=logits.device)
        chosen[warm] = torch.multinomial((logits[warm] / scale[:, None]).softmax(dim=-1), 1)[:, 0]
    return chosen


def _record(logits: torch.Tensor, chosen: torch.Tensor, rows: Sequence[Row], stop_ids: frozenset[int]) -> None:
    if any(row.wants_logprobs for row in rows):
        odds = logits.log_softmax(dim=-1)
        logprobs = odds.gather(1, chosen[:, None])[:, 0].tolist()
        entropies = torch.special.entr(odds.exp()).sum(dim=-1).tolist()
        best = odds.topk(max(row.wants_likeliest for row in rows), dim=-1)
        likeliest = [
            list(zip(*each, strict=True)) for each in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
    for index, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
        if row.finish_reason:
            continue
        row.tokens.append(token)
        if row.heard:
            row.heard(token)
        if row.wants_logprobs:
            row.logprobs.append(logprobs[index])
            row.entropies.append(entropies[index])
            row.likeliest.append(likeliest[index][: row.wants_likeliest])
        if token in stop_ids:
            row.finish_reason = "stop"
        elif len(row.tokens) == row.max_tokens:
            row.finish_reason = "length"


def _keep(indices: torch.Tensor, input_ids: torch.Tensor, state: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
    """The batch with these rows alone."""
    state = dict(state)
    state["past_key_values"].reorder_cache(indices)
    for name in ("attention_mask", "mm_token_type_ids", "position_ids"):  # [rows, length], or [axes, rows, length]
        if (value := state.get(name)) is not None and value.shape[-2] == input_ids.shape[0]:
            state[name] = value.index_select(value.dim() - 2, indices)
    return input_ids[indices], state
