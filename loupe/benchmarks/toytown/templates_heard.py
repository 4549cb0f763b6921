"""Questions that need the sound, most of them with the pictures."""

from collections.abc import Sequence

from loupe.benchmarks.toytown.facts import Facts
from loupe.benchmarks.toytown.speech import BRANDS, NUMBER_LINE, NUMBERS, PRICE_LINE, TRIP_LINE, WISH_LINE
from loupe.benchmarks.toytown.template import Found, Names, Pool, Template, found
from loupe.benchmarks.toytown.templates_seen import colours, places, signs, spans, things
from loupe.benchmarks.toytown.truth import Row
from loupe.benchmarks.toytown.world import COLOURS, HATS, PLACES, THINGS

AUDIO_VISUAL = "audio_visual"


def _told(facts: Facts, line: str, **names: str) -> list[tuple[Row, str]]:
    """The lines of a form in which these names are said, and what the open place of the form says."""
    missing = next(name for name in ("number", "thing", "place") if f"{{{name}}}" in line and name not in names)
    return facts.lines(line.format(**{**names, missing: r"(\w+)"}))


def _number(facts: Facts, line: str, **names: str) -> Found | None:
    told = _told(facts, line, **names)
    return found([row for row, _ in told], [str(NUMBERS.index(word) + 1) for _, word in told])


def _price(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return _number(facts, PRICE_LINE, thing=names["thing"])


def _own_number(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return _number(facts, NUMBER_LINE, colour=names["colour"])


def _wish(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    told = _told(facts, WISH_LINE, colour=names["colour"])
    return found([row for row, _ in told], [thing for _, thing in told])


def _origin(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    told = _told(facts, TRIP_LINE, colour=names["colour"])
    return found([row for row, _ in told], [place for _, place in told])


def _hat_of_number(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    """The hat of whoever tells a number, if only one person does."""
    told = facts.lines(NUMBER_LINE.format(colour=r"(\w+)", number=names["number"]))
    rows = [row for row in facts.rows["person"] if len(told) == 1 and row.colour == told[0][1]]
    return found([row for row, _ in told] + rows, [str(row.person).partition(" with ")[2] for row in rows])


def _place_when_said(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    rows = facts.said[names["brand"]]
    return found(rows, [facts.scene_at(row.start_ms).place for row in rows]) if facts.scenes else None


def _sign_when_price(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    told = [row for row, _ in _told(facts, PRICE_LINE, thing=names["thing"])]
    shown = [word for row in told for word, sign in facts.signs.items() if _covers(sign, row)]
    return found(told, shown)


def _covers(sign: Row, line: Row) -> bool:
    """Whether a sign is there for the whole of a line and not only for its last moments."""
    return sign.start_ms <= line.start_ms and line.end_ms <= sign.end_ms


def _seen_unsaid(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    fits = [option for option in options if option in facts.signs and not facts.said[option]]
    return _mentions(facts, fits, options)


def _said_unseen(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    fits = [option for option in options if option not in facts.signs and facts.said[option]]
    return _mentions(facts, fits, options)


def _mentions(facts: Facts, fits: Sequence[str], options: Sequence[str]) -> Found | None:
    """The one that fits, resting on every sight and mention of any of the options."""
    rows = [facts.signs[option] for option in options if option in facts.signs]
    rows += [row for option in options for row in facts.said[option]]
    return Found(fits[0], tuple(rows)) if len(fits) == 1 else None


def _when_said(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return spans(facts.said[names["brand"]])


def _brands_said(facts: Facts) -> Sequence[str]:
    return [brand for brand in BRANDS if facts.said[brand]]


def _brands_unsaid(facts: Facts) -> Sequence[str]:
    return [brand for brand in BRANDS if not facts.said[brand]]


def _brands(facts: Facts) -> Sequence[str]:
    return BRANDS


def _unpriced(facts: Facts) -> Sequence[str]:
    return [thing for thing in THINGS if not _told(facts, PRICE_LINE, thing=thing)]


def _silent(line: str) -> Pool:
    """People who never say a line of a form."""
    return lambda facts: [colour for colour in COLOURS if not _told(facts, line, colour=colour)]


def _numbers(facts: Facts) -> Sequence[str]:
    return NUMBERS


def _untold(facts: Facts) -> Sequence[str]:
    return [n for n in NUMBERS if not facts.lines(NUMBER_LINE.format(colour=r"(\w+)", number=n))]


TEMPLATES = (
    Template("key_information_retrieval", "number", "How many coins does the {thing} cost?",
             _price, {"thing": things}, ("thing", _unpriced)),
    Template("key_information_retrieval", "number", "Which number does the {colour} person tell?",
             _own_number, {"colour": colours}, ("colour", _silent(NUMBER_LINE))),
    Template("key_information_retrieval", "choice", "Which thing does the {colour} person want?",
             _wish, {"colour": colours}, ("colour", _silent(WISH_LINE)), others=things),
    Template(AUDIO_VISUAL, "choice", "Which place does the {colour} person come from?",
             _origin, {"colour": colours}, ("colour", _silent(TRIP_LINE)), others=lambda facts: PLACES),
    Template(AUDIO_VISUAL, "choice", "What is on the head of the person whose number is {number}?",
             _hat_of_number, {"number": _numbers}, ("number", _untold), others=lambda facts: HATS),
    Template(AUDIO_VISUAL, "choice", "Which place does the film show when the brand {brand} is spoken?",
             _place_when_said, {"brand": _brands_said}, ("brand", _brands_unsaid), others=places),
    Template(AUDIO_VISUAL, "choice", "Which sign can be read when the price of the {thing} is told?",
             _sign_when_price, {"thing": things}, ("thing", _unpriced), others=signs),
    Template(AUDIO_VISUAL, "choice", "Which of these brands is seen but never spoken?",
             _seen_unsaid, {}, pool=_brands),
    Template(AUDIO_VISUAL, "choice", "Which of these brands is spoken but never seen?",
             _said_unseen, {}, pool=_brands),
    Template(AUDIO_VISUAL, "spans", "When is the brand {brand} spoken?",
             _when_said, {"brand": _brands_said}, ("brand", _brands_unsaid)),
)  # fmt: skip
