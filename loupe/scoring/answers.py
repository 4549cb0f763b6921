"""How right an answer is, from 0 to 1: one function an answer type, on plain values, and one that reads them.

- choice, number: the same or not;
- text: the same words, by normalized exact match (a paraphrase is wrong);
- spans: intersection over union of the two unions of spans.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from string import punctuation

from loupe import timeline
from loupe.timeline import Span
from schemas.questions import UNANSWERABLE, AnswerType

GOOD_IOU = 0.5
"""Spans count as right from this overlap on."""
ARTICLES = re.compile(r"\b(a|an|the)\b")


def choice(given: str, true: str) -> float:
    """Of two letters."""
    return float(given == true)


def number(given: int, true: int) -> float:
    """Of two whole numbers: exact, however near."""
    return float(given == true)


def text(given: str, true: str) -> float:
    """Of two texts: the same once case, punctuation, articles and spaces are gone (as in SQuAD, arXiv 1606.05250)."""
    return float(bare(given) == bare(true))


def spans(given: Iterable[Span], true: Iterable[Span]) -> float:
    """Of two sets of (start, end): the time that both cover over the time that either covers."""
    return timeline.iou(given, true)


def bare(words: str) -> str:
    """Lower case, without ASCII punctuation and English articles, single spaces; Unicode in its compatible form."""
    plain = unicodedata.normalize("NFKC", words).casefold().translate(str.maketrans("", "", punctuation))
    return " ".join(ARTICLES.sub(" ", plain).split())


def score(answer_type: AnswerType, given: str | None, true: str) -> float:
    """How right an answer is, both as schemas.questions.Question has them; None is no answer, and wrong.

    Where one of the two is UNANSWERABLE, only the same is right. What cannot be read as its type is wrong.
    """
    if given is None or UNANSWERABLE in (given, true):
        return float(given == true)
    match answer_type:
        case "choice":
            return choice(given, true)
        case "number":
            told = read_number(given)
            return 0.0 if told is None else number(told, int(true))
        case "spans":
            return spans(read_spans(given) or (), read_spans(true) or ())
        case "text":
            return text(given, true)


def is_right(answer_type: AnswerType, given: str | None, true: str) -> bool:
    """Whether an answer is right: wholly, or for spans from an overlap of `GOOD_IOU` on."""
    return score(answer_type, given, true) >= (GOOD_IOU if answer_type == "spans" else 1)


def read_number(said: str) -> int | None:
    """A whole number in digits; None for anything else."""
    return int(said) if re.fullmatch(r"-?\d+", said) else None


def read_spans(said: str) -> list[Span] | None:
    """A JSON list of [start, end]; None for anything else."""
    try:
        return [(float(start), float(end)) for start, end in json.loads(said)]
    except (ValueError, TypeError):
        return None
