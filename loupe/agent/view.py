"""What a model sees of the turns so far, as a function of the record: so any prompt can be made again from a trace.

- A result that has a brief form stands whole only while it is the newest of its kind; then the brief form stays.
- What does not parse is shown back up to a length.
- A prompt has at most so many letters: the oldest turns become notes (the model's own `observation`), then go.
"""

import json
from collections.abc import Sequence

from loupe.config import Shown
from loupe.untrusted import as_data, cut
from schemas.traces import ShownMessage, ShownPart, Trace, TurnRecord, prompt_hash

VIEW_VERSION = "1"
UNPARSED_LETTERS = 400
NOTE_LETTERS = 200


class ViewError(Exception):
    """A trace whose prompts this version cannot make again."""


def settings_of(shown: Shown) -> str:
    """What the view depends on beside the record, as JSON."""
    return json.dumps({"letters": letters_of(shown)})


def letters_of(shown: Shown) -> int:
    """Letters that a prompt may have."""
    return int(shown.prompt_tokens * shown.letters_per_token)


def prompt_of(trace: Trace, index: int) -> tuple[ShownMessage, ...]:
    """What the model was shown for a turn. Raises ViewError where another version of the view made the trace."""
    if trace.view_version != VIEW_VERSION:
        raise ViewError(f"the trace is of view {trace.view_version}, and this is {VIEW_VERSION}")
    shown = prompt(trace.opening, trace.turns[:index], trace.view_settings)
    if prompt_hash(shown) != trace.turns[index].call.prompt_hash:
        raise ViewError(f"turn {index} of {trace.transcript_id} was shown another prompt")
    return shown


def prompt(opening: Sequence[ShownMessage], turns: Sequence[TurnRecord], settings: str) -> tuple[ShownMessage, ...]:
    """The opening, then what was said and what came back, turn by turn, within the view's bounds."""
    letters: int = json.loads(settings)["letters"]
    newest = newest_of_kind(turns)
    results = [turn.result if turn.index in newest else turn.brief or turn.result for turn in turns]
    said = [_said(turn) for turn in turns]
    for left_out in range(max(1, len(turns))):
        notes = [f"- {cut(as_data(turn.observation), NOTE_LETTERS)}" for turn in turns[:left_out] if turn.observation]
        told = [*_with_notes(opening, notes), *_chat(said[left_out:], results[left_out:])]
        if length(told) <= letters:
            return tuple(told)
    told = [*opening, *_chat(said[-1:], results[-1:])]
    over = length(told) - letters
    if over > 0 and turns:
        told[-1] = _message("user", _without_middle(results[-1], over))
    return tuple(told)


def newest_of_kind(turns: Sequence[TurnRecord]) -> set[int]:
    """Indexes of the turns whose results stand whole."""
    newest = {turn.tool: turn.index for turn in turns if turn.brief is not None}
    return {turn.index for turn in turns if turn.brief is None or newest[turn.tool] == turn.index}


def length(messages: Sequence[ShownMessage]) -> int:
    """Letters of text in messages."""
    return sum(len(part.text or "") for message in messages for part in message.parts)


def _said(turn: TurnRecord) -> str:
    return turn.call.said if turn.parsed else cut(turn.call.said, UNPARSED_LETTERS) or "(nothing)"


def _chat(said: Sequence[str], results: Sequence[str]) -> list[ShownMessage]:
    return [
        _message(role, text)
        for pair in zip(said, results, strict=True)
        for role, text in zip(("assistant", "user"), pair, strict=True)
    ]


def _with_notes(opening: Sequence[ShownMessage], notes: Sequence[str]) -> list[ShownMessage]:
    if not notes:
        return list(opening)
    *before, last = opening
    told = ShownPart(text="\n".join(["", "Notes of earlier turns:", *notes]))
    return [*before, last.model_copy(update={"parts": (*last.parts, told)})]


def _without_middle(text: str, over: int) -> str:
    """The text without so many letters, whole lines of them; its last lines say what to do, and stay."""
    lines = text.split("\n")
    kept, at = list(lines), len(lines) - 3
    while over > 0 and at > 0:
        over -= len(kept[at]) + 1
        del kept[at]
        at -= 1
    return "\n".join(kept)


def _message(role: str, text: str) -> ShownMessage:
    return ShownMessage.model_validate({"role": role, "parts": ({"text": text},)})
