"""What a model sees of the turns so far, as a function of the record: so any prompt can be made again from a trace.

- A result that has a brief form stands whole only while it is the newest of its kind; then the brief form stays.
- Percepts (what the model looked at and listened to itself) are one kind; the newest stands with pictures and sound.
  The config can have all of them stand, and no notes, to measure what either is worth.
- The newest turns stand as they were said, older ones without thought, confidence and empty arguments.
- What does not parse is shown back up to a length.
- A prompt has at most so many letters: its longest result loses lines from its end, as long as enough of it is left;
  then the oldest turns become notes (the model's own `observation`, of a long one its beginning and its end, where
  what was found so far stands), and at last the oldest notes go.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from loupe.agent.stamps import moment
from loupe.config import Looking, Shown
from loupe.untrusted import as_data, cut, cut_inside
from schemas.traces import ShownMessage, ShownPart, Trace, TurnRecord, prompt_hash

VIEW_VERSION = "4"
UNPARSED_LETTERS = 400
NOTE_LETTERS = 500
MESSAGE_LETTERS = 10
"""That a chat template is counted with: its tokens around a message are about five."""
LONGEST_SHARE = 0.4
"""Of the letters of a prompt, that its longest result keeps before older turns have to go."""


class ViewError(Exception):
    """A trace whose prompts this version cannot make again."""


@dataclass(frozen=True)
class Bounds:
    """What the view depends on beside the record."""

    letters: int
    whole_turns: int
    purge: bool
    notes: bool


def settings_of(shown: Shown, looking: Looking) -> str:
    """The bounds as a trace keeps them: JSON."""
    return json.dumps(asdict(Bounds(letters_of(shown), shown.whole_turns, looking.purge, looking.notes)))


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


@dataclass(frozen=True)
class View:
    """A prompt, and which turns it is of."""

    messages: tuple[ShownMessage, ...]
    first: int
    """The oldest turn that stands; those before it are notes."""


def prompt(opening: Sequence[ShownMessage], turns: Sequence[TurnRecord], settings: str) -> tuple[ShownMessage, ...]:
    """The opening, then what was said and what came back, turn by turn, within the view's bounds."""
    return fit(opening, turns, settings).messages


def fit(opening: Sequence[ShownMessage], turns: Sequence[TurnRecord], settings: str) -> View:
    """As much as the view's bounds let stand."""
    bounds = Bounds(**json.loads(settings))
    letters, old = bounds.letters, len(turns) - (bounds.whole_turns if bounds.notes else 0)
    whole = standing(turns, bounds)
    results = [turn.result if turn.index in whole else turn.brief or turn.result for turn in turns]
    media = [media_parts(turn) if turn.index in whole else () for turn in turns]
    if not bounds.notes:
        turns = [turn.model_copy(update={"observation": ""}) for turn in turns]
    said = [_said_shortly(turn) if turn.parsed and index < old else _said(turn) for index, turn in enumerate(turns)]
    last = max(0, len(turns) - 1)
    for dropped, first in [*((0, first) for first in range(last + 1)), *((gone, last) for gone in range(1, last + 1))]:
        noted = [
            cut_inside(as_data(turn.observation), NOTE_LETTERS) for turn in turns[dropped:first] if turn.observation
        ]
        begun = _with_notes(opening, [f"- {note}" for note in noted])
        told = [*begun, *_chat(said[first:], media[first:], results[first:])]
        if length(told) <= letters:
            return View(tuple(told), first)
        shortened = _shorten_longest(results[first:], length(told) - letters, int(letters * LONGEST_SHARE))
        if shortened is not None:
            return View((*begun, *_chat(said[first:], media[first:], shortened)), first)
    told = [*opening, *_chat(said[last:], media[last:], results[last:])]
    shortened = [_shorten(text, length(told) - letters) for text in results[last:]]
    return View((*opening, *_chat(said[last:], media[last:], shortened)), last)


def standing(turns: Sequence[TurnRecord], bounds: Bounds) -> set[int]:
    """Indexes of the turns whose results stand whole."""
    newest = {turn.tool: turn.index for turn in turns if turn.brief is not None}
    percepts = {turn.index for turn in percepts_standing(turns, purge=bounds.purge)}
    return percepts | {
        turn.index for turn in turns if turn.brief is None or (not turn.percept and newest[turn.tool] == turn.index)
    }


def percepts_standing(turns: Sequence[TurnRecord], *, purge: bool) -> list[TurnRecord]:
    """The turns whose pictures and sound stand: the newest alone, or all where nothing is purged."""
    percepts = [turn for turn in turns if turn.percept]
    return percepts[-1:] if purge else percepts


def media_parts(turn: TurnRecord) -> tuple[ShownPart, ...]:
    """The pictures and the sound of a percept, each after its time in seconds; words stand in its result."""
    if not turn.percept:
        return ()
    parts = [part for each in turn.media for part in (_stamp(each.ts_ms), ShownPart(media=each))]
    if turn.sound and turn.sound.given == "sound":
        parts += [_stamp(turn.sound.start_ms, turn.sound.end_ms), ShownPart(sound=turn.sound)]
    return tuple(parts)


def _stamp(*times_ms: int) -> ShownPart:
    return ShownPart(text=f"[{'-'.join(map(moment, times_ms))}]")


def length(messages: Sequence[ShownMessage]) -> int:
    """Letters of text in messages, with what a chat template writes around each; pictures and sound come on top."""
    return sum(MESSAGE_LETTERS + sum(len(part.text or "") for part in message.parts) for message in messages)


def _said(turn: TurnRecord) -> str:
    return turn.call.said if turn.parsed else cut(turn.call.said, UNPARSED_LETTERS) or "(nothing)"


def _said_shortly(turn: TurnRecord) -> str:
    arguments = {name: value for name, value in json.loads(turn.arguments or "{}").items() if value not in (None, "")}
    said = {"observation": turn.observation} if turn.observation else {}
    told = said | {"action": {"tool": turn.tool, **arguments}}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _chat(said: Sequence[str], media: Sequence[tuple[ShownPart, ...]], results: Sequence[str]) -> list[ShownMessage]:
    return [
        message
        for turn, parts, result in zip(said, media, results, strict=True)
        for message in (_message("assistant", turn), _message("user", result, parts))
    ]


def _with_notes(opening: Sequence[ShownMessage], notes: Sequence[str]) -> list[ShownMessage]:
    if not notes:
        return list(opening)
    *before, last = opening
    told = ShownPart(text="\n".join(["", "Notes of earlier turns:", *notes]))
    return [*before, last.model_copy(update={"parts": (*last.parts, told)})]


def _shorten_longest(results: Sequence[str], over: int, least: int) -> list[str] | None:
    """The results without so many letters, all taken from the longest; None where too little of it would be left."""
    longest = max(results, key=len, default="")
    if len(longest) - over < least:
        return None
    return [_shorten(text, over) if text is longest else text for text in results]


def _shorten(text: str, over: int) -> str:
    """The text without so many letters, in whole lines where it can be; its last lines say what to do, and stay."""
    lines = text.split("\n")
    ends = 2 if len(lines) > 2 else 1
    head = "\n".join(lines[:-ends])
    head = head[: max(0, len(head) - over)]
    if "\n" in head:
        head = head[: head.rindex("\n")]
    return "\n".join([head, *lines[-ends:]])


def _message(role: Literal["user", "assistant"], text: str, media: tuple[ShownPart, ...] = ()) -> ShownMessage:
    return ShownMessage(role=role, parts=(*media, ShownPart(text=text)))
