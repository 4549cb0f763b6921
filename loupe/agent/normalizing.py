"""From an answer as a model says it to the form in which answers are compared."""

import json
import math
import re

from schemas.questions import LETTERS, UNANSWERABLE, Question

LETTER = re.compile(r"(?:option\s+)?\(?([A-J])\)?[.:)]?", re.IGNORECASE)
LETTER_AND_TEXT = re.compile(r"\(?([A-J])[.:)]+\s*(.+)", re.DOTALL)


def normalize(question: Question, said: str) -> str:
    """A letter, a JSON list of [start, end] in seconds, a number in digits, text, or UNANSWERABLE.

    Raises ValueError, which says what an answer looks like; nothing is guessed.
    """
    text = said.strip()
    if text.rstrip(".").lower() == UNANSWERABLE:
        return UNANSWERABLE
    match question.answer_type:
        case "choice":
            return _letter(question.options, text)
        case "spans":
            return _spans(text)
        case "number":
            return _number(text)
    if not text:
        raise ValueError("The answer is empty.")
    return text


def contents(question: Question, *, texts: bool) -> tuple[str, ...]:
    """All that an answer to a choice may say, for a schema: with `texts` the options' own too. Empty: anything."""
    if question.answer_type != "choice":
        return ()
    return tuple(dict.fromkeys((*LETTERS[: len(question.options)], *(question.options if texts else ()), UNANSWERABLE)))


def _letter(options: tuple[str, ...], text: str) -> str:
    """The letter of an option, named by its letter, its text, or both."""
    texts = [_bare(option) for option in options]
    letters = LETTERS[: len(options)]
    if (alone := LETTER.fullmatch(text)) and alone[1].upper() in letters:
        return alone[1].upper()
    if texts.count(_bare(text)) == 1:
        return letters[texts.index(_bare(text))]
    both = LETTER_AND_TEXT.fullmatch(text)
    if both and both[1] in letters and texts[letters.index(both[1])] == _bare(both[2]):
        return both[1]
    raise ValueError(f"The answer is one letter of {letters[0]}-{letters[-1]}, or {UNANSWERABLE}.")


def _bare(text: str) -> str:
    return " ".join(text.lower().strip().rstrip(".").split())


def _number(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        value = 0.5
    if not value.is_integer():
        raise ValueError(f"The answer is a whole number in digits, or {UNANSWERABLE}.")
    return str(int(value))


def _spans(text: str) -> str:
    try:
        said = json.loads(text)
        pairs = [said] if said and not isinstance(said[0], list) else said
        spans = sorted((round(float(start), 3), round(float(end), 3)) for start, end in pairs)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        spans = []
    if not spans or not all(0 <= start < end < math.inf for start, end in spans):
        raise ValueError(f"The answer is a list of [start, end] in seconds, start < end, or {UNANSWERABLE}.")
    return json.dumps(spans)
