"""What happened to one question, turn by turn, from its trace."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from loupe.reporting.html import Html, tag
from loupe.reporting.strips import strip, when
from loupe.reporting.tables import count
from loupe.scoring.answers import read_spans
from loupe.scoring.scored import times_of
from loupe.timeline import clock
from schemas.questions import LETTERS, UNANSWERABLE, Question

Row = Mapping[str, Any]

LETTERS_SHOWN = 2000
"""Of one text; the whole stands in the trace."""
CALL = ("role", "usage", "seconds", "error")
TRACE_COLUMNS = (
    "question_id",
    *(
        f"turns.list.element.{name}"
        for name in (
            *("round", "parsed", "observation", "thought", "confidence", "tool", "arguments", "result", "is_error"),
            *("media", "sound", "call.said", *(f"call.{field}" for field in CALL)),
            *(f"calls.list.element.{field}" for field in CALL),
        )
    ),
    *(
        f"verdicts.list.element.{name}"
        for name in (
            "round",
            "confidence",
            "possible_errors",
            "suggestion",
            "sent_back",
            "answer_before",
            "media",
            "error",
        )
    ),
)
"""What is read of `traces/`."""


def told(question: Question, answer: str | None) -> str:
    """An answer for people: an option with its text, spans as times."""
    if answer is None:
        return "no answer"
    if answer == UNANSWERABLE:
        return "the film does not say"
    options = dict(zip(LETTERS, question.options, strict=False))
    if answer in options:
        return f"{answer} · {options[answer]}"
    if question.answer_type == "spans" and (spans := read_spans(answer)):
        return ", ".join(f"{start:g}-{end:g} s" for start, end in spans)
    return answer


def details(question: Question, answer: Row, trace: Row) -> Html:
    """Where it looked, the options, and every turn with the critic's verdicts in their places."""
    return tag(
        "div",
        _strip(question, answer, trace),
        _options(question, answer["answer"]),
        tag("p", "Evidence: ", _evidence(answer["evidence"])) if answer["evidence"] else None,
        tag("p", "Error: ", cut(answer["error"]), class_="error") if answer["error"] else None,
        tag("ol", _events(trace), class_="turns"),
        class_="details",
    )


def _strip(question: Question, answer: Row, trace: Row) -> Html | None:
    """Where in the film; nothing where there are several."""
    looked = [media for turn in trace["turns"] for media in turn["media"]]
    critic = [media for verdict in trace["verdicts"] for media in verdict["media"]]
    heard = [turn["sound"] for turn in trace["turns"] if turn["sound"]]
    if len({each["video_id"] for each in (*looked, *heard, *critic, *answer["evidence"])}) > 1:
        return None
    evidence = [(each["start_ms"], each["end_ms"]) for each in answer["evidence"]]
    return strip(
        times_of(question),
        [each["ts_ms"] for each in looked],
        [(each["start_ms"], each["end_ms"]) for each in heard],
        [each["ts_ms"] for each in critic],
        evidence,
    )


def _evidence(found: Iterable[Row]) -> Html:
    """What an answer rests on: when in the film, and from which table."""
    told = (f"{when(each['start_ms'], each['end_ms'])} ({each['source']})" for each in found)
    return tag("bdi", ", ".join(told))


def _options(question: Question, given: str | None) -> Html | None:
    if not question.options:
        return None
    marks = {question.answer: "the right one", given: "given"} | (
        {given: "given, and right"} if given == question.answer else {}
    )
    letters = zip(LETTERS, question.options, strict=False)
    return tag(
        "ul",
        (
            tag("li", f"{letter} · ", tag("bdi", option), tag("em", f" ({marks[letter]})") if letter in marks else None)
            for letter, option in letters
        ),
        class_="options",
    )


def _events(trace: Row) -> Iterator[Html]:
    """Turns in order, each round's verdict after its turns."""
    verdicts = {verdict["round"]: verdict for verdict in trace["verdicts"]}
    number = 0
    for round_, turns in groupby(trace["turns"], lambda turn: turn["round"]):
        for turn in turns:
            number += 1
            yield _turn(number, turn)
        if round_ in verdicts:
            yield _verdict(verdicts[round_])


def _turn(number: int, turn: Row) -> Html:
    calls = [turn["call"], *turn["calls"]]
    title = turn["tool"] or ("not parsed" if not turn["parsed"] else "no action")
    facts = [sureness(turn["confidence"]), *(_call(call) for call in calls)]
    return tag(
        "li",
        tag("h4", f"Turn {number}: ", tag("code", title), tag("small", " · ".join(filter(None, facts)))),
        tag(
            "dl",
            _entry("thought", turn["thought"]),
            _entry("noted", turn["observation"]),
            _entry("did", turn["arguments"]) if turn["parsed"] else _entry("said", turn["call"]["said"]),
            _entry("looked at", times(turn["media"])),
            _entry("listened to", sound(turn["sound"])),
            _entry(_outcome(turn), turn["result"]),
        ),
        class_="turn refused" if turn["is_error"] else "turn",
    )


def _outcome(turn: Row) -> str:
    """What the result of a turn is. Sound that a model hears itself comes without words."""
    if turn["is_error"]:
        return "refused"
    if not turn["sound"]:
        return "saw"
    return "saw, heard" if turn["media"] else "heard"


def _verdict(verdict: Row) -> Html:
    outcome = "sent the answer back" if verdict["sent_back"] else "let the answer stand"
    return tag(
        "li",
        tag("h4", "Critic: ", outcome, tag("small", sureness(verdict["confidence"]))),
        tag(
            "dl",
            _entry("answer judged", verdict["answer_before"]),
            _entry("looked at", times(verdict["media"])),
            *(_entry("possible error", error) for error in verdict["possible_errors"]),
            _entry("suggestion", verdict["suggestion"]),
            _entry("no verdict", verdict["error"]),
        ),
        class_="turn critic",
    )


def _entry(name: str, text: str | None) -> Sequence[Html]:
    """A term and what belongs to it; nothing for no text."""
    return (tag("dt", name), tag("dd", tag("pre", cut(text), dir="auto"))) if text else ()


def _call(call: Row) -> str:
    used = call["usage"]
    pictures = f", {used['images']} frames" if used["images"] else ""
    spent = (
        f"{count(used['prompt_tokens'])} + {count(used['completion_tokens'])} tokens{pictures}, {call['seconds']:.1f} s"
    )
    return f"{call['role']}: {spent}" + (f", {cut(call['error'])}" if call["error"] else "")


def sureness(confidence: float | None) -> str:
    """A confidence in words; nothing for none."""
    return "" if confidence is None else f"confidence {confidence:.2f}"


def times(media: Iterable[Row]) -> str:
    """When the frames are, by film where there are several."""
    films: dict[str, list[str]] = {}
    for each in media:
        films.setdefault(each["video_id"], []).append(clock(each["ts_ms"]))
    if len(films) == 1:
        return ", ".join(*films.values())
    return "\n".join(f"{film}: {', '.join(at)}" for film, at in films.items())


def sound(ref: Row | None) -> str | None:
    """Which stretch of a film, and how the model had it; nothing for none."""
    if ref is None:
        return None
    given = "its words" if ref["given"] == "words" else "the sound itself"
    return f"{when(ref['start_ms'], ref['end_ms'])}, {given}"


def cut(text: str) -> str:
    """What of a text is shown."""
    left = len(text) - LETTERS_SHOWN
    return text if left <= 0 else f"{text[:LETTERS_SHOWN]} … ({left:,} more letters in the trace)"
