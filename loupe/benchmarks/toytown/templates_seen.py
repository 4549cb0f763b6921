"""Questions that the pictures alone answer."""

import json
from collections.abc import Sequence
from itertools import pairwise

from loupe.benchmarks.toytown.captions import PREPOSITIONS
from loupe.benchmarks.toytown.facts import Facts, seconds
from loupe.benchmarks.toytown.template import Found, Names, Template, found
from loupe.benchmarks.toytown.truth import Row
from loupe.benchmarks.toytown.world import COLOURS, HATS, PLACES, SHAPES, SIGN_WORDS, THINGS

DOES = {
    "enters": "enters", "leaves": "leaves", "jumps": "jumps", "waves": "waves", "sits": "sits down",
    "picks up": "picks something up", "drops": "drops something", "hands over": "hands something over",
}  # fmt: skip
"""Actions as questions call them."""
_ACTIONS = {phrase: action for action, phrase in DOES.items()}
MOST_SPANS = 3
"""Something that happens more often is not asked for."""


def spans(rows: Sequence[Row]) -> Found | None:
    """The rows' times as an answer."""
    if not 1 <= len(rows) <= MOST_SPANS:
        return None
    return Found(json.dumps([[row.start_ms / 1000, row.end_ms / 1000] for row in rows]), tuple(rows))


def signs(facts: Facts) -> Sequence[str]:
    return list(facts.signs)


def unseen_signs(facts: Facts) -> Sequence[str]:
    return [word for word in SIGN_WORDS if word not in facts.signs]


def colours(facts: Facts) -> Sequence[str]:
    return facts.colours


def strangers(facts: Facts) -> Sequence[str]:
    return [colour for colour in COLOURS if colour not in facts.colours]


def places(facts: Facts) -> Sequence[str]:
    return sorted({str(scene.place) for scene in facts.scenes})


def unseen_places(facts: Facts) -> Sequence[str]:
    return [place for place in PLACES if place not in places(facts)]


def _doings(facts: Facts) -> Sequence[str]:
    return list(_ACTIONS)


def things(facts: Facts) -> Sequence[str]:
    return THINGS


def _events(facts: Facts, names: Names) -> list[Row]:
    """The events of a question: of its scene, person and action, as far as it names them."""
    scene = facts.scene_with(names["sign"]) if "sign" in names else None
    if scene is None and "sign" in names:
        return []
    rows = facts.within(scene, "event") if scene else facts.rows["event"]
    if "colour" in names:
        rows = [row for row in rows if row.colour == names["colour"]]
    return [row for row in rows if row.action == _ACTIONS[names["does"]]] if "does" in names else rows


def _who(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    rows = _events(facts, names)
    return found(rows, [row.colour for row in rows])


def _hat(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    rows = [row for row in facts.rows["person"] if row.colour == names["colour"]]
    return found(rows, [str(row.person).partition(" with ")[2] for row in rows])


def _shape(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    rows = [row for row in facts.rows["person"] if row.colour == names["colour"]]
    return found(rows, [str(row.person).split()[1] for row in rows])


def _held(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    scene = facts.scene_with(names["sign"])
    rows = [row for row in facts.within(scene, "object") if row.colour == names["colour"]] if scene else []
    return found(rows, [row.thing for row in rows])


def _does(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    rows = _events(facts, names)
    return found(rows, [DOES[str(row.action)] for row in rows])


def _handed(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    rows = [row for row in _events(facts, {**names, "does": DOES["hands over"]}) if row.thing == names["thing"]]
    return found(rows, [row.to for row in rows])


def _word(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    rows = [row for row in _events(facts, names) if facts.scene_at(row.start_ms).place == names["where"].split()[-1]]
    shown = [
        word
        for row in rows
        for word, sign in facts.signs.items()
        if sign.start_ms < row.end_ms and row.start_ms < sign.end_ms
    ]
    return found(rows, shown) if len(rows) == 1 else None


def _last_has(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    """Who holds something when a scene ends. A fade may hide its last two seconds."""
    scene = facts.scene_with(names["sign"])
    rows = [row for row in facts.within(scene, "object") if row.thing == names["thing"]] if scene else []
    if not scene or not rows:
        return None
    last = max(rows, key=lambda row: row.end_ms)
    return Found(last.colour, (last,)) if last.colour and scene.end_ms - last.end_ms <= 2500 else None


def _when_sign(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return spans([facts.signs[names["sign"]]] if names["sign"] in facts.signs else [])


def _when_place(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return spans([scene for scene in facts.scenes if scene.place == names["where"].split()[-1]])


def _when_event(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return spans(_events(facts, names))


def _count_signs(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return _count(facts, names["does"], facts.signs.get(names["sign"]), facts.signs.get(names["until"]))


def _count_places(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    first = {str(scene.place): scene for scene in reversed(facts.scenes)}
    return _count(facts, names["does"], *(first.get(names[name].split()[-1]) for name in ("where", "until")))


def _count(facts: Facts, does: str, first: Row | None, last: Row | None) -> Found | None:
    """How many events there are from one row's start to another's, if none is close to either."""
    if not first or not last or first.start_ms >= last.start_ms:
        return None
    rows = [row for row in facts.rows["event"] if row.action == _ACTIONS[does]]
    if any(abs(row.start_ms - border.start_ms) < 1000 for row in rows for border in (first, last)):
        return None
    rows = [row for row in rows if first.start_ms <= row.start_ms < last.start_ms]
    return Found(str(len(rows)), tuple(rows)) if rows else None


def _never_with(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    scenes = [scene for scene in facts.scenes if names["colour"] in facts.people(scene)]
    met = {colour for scene in scenes for colour in facts.people(scene)}
    never = [option for option in options if option not in met]
    return Found(never[0], tuple(scenes)) if len(never) == 1 else None


def _most(totals: dict[str, list[Row]], options: Sequence[str]) -> Found | None:
    """The option whose rows last longest, by a clear margin."""
    ranked = sorted(options, key=lambda option: seconds(totals.get(option, [])))
    first, second = (seconds(totals.get(option, [])) for option in (ranked[-1], ranked[-2]))
    rows = [row for option in options for row in totals.get(option, [])]
    return Found(ranked[-1], tuple(rows)) if first > 1.1 * second + 5 else None


def _longest_place(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return _most({place: [s for s in facts.scenes if s.place == place] for place in options}, options)


def _longest_person(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    return _most({colour: [r for r in facts.rows["person"] if r.colour == colour] for colour in options}, options)


def _never_shown(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    never = [option for option in options if option not in facts.signs]
    shown = [facts.signs[option] for option in options if option in facts.signs]
    return Found(never[0], tuple(shown)) if len(never) == 1 else None


def _first_sign(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    shown = sorted((facts.signs[option] for option in options if option in facts.signs), key=lambda row: row.start_ms)
    return Found(str(shown[0].word), tuple(shown)) if len(shown) == len(options) else None


def orders(facts: Facts) -> Sequence[str]:
    """Four places, in the order in which the film first shows them."""
    first: dict[str, Row] = {}
    for scene in facts.scenes:
        first.setdefault(str(scene.place), scene)
    return list(first)


def _order(facts: Facts, names: Names, options: Sequence[str]) -> Found | None:
    order = {place: index for index, place in enumerate(orders(facts))}
    first = {str(scene.place): scene for scene in reversed(facts.scenes)}
    for option in options:
        asked = option.split(", ")
        if all(order.get(one, 99) < order.get(other, -1) for one, other in pairwise(asked)):
            return Found(option, tuple(first[place] for place in asked))
    return None


def _where(facts: Facts) -> Sequence[str]:
    return [f"{PREPOSITIONS.get(place, 'in')} the {place}" for place in places(facts)]


def _elsewhere(facts: Facts) -> Sequence[str]:
    return [f"{PREPOSITIONS.get(place, 'in')} the {place}" for place in unseen_places(facts)]


_NO_SIGN = ("sign", unseen_signs)
_NOBODY = ("colour", strangers)
_IN_SCENE = {"sign": signs}
ORDER = Template("summarization", "choice", "In which order does the film first show these places?", _order, {})
TEMPLATES = (
    ORDER,
    Template("entity_recognition", "choice", "What colour is the person who {does} in the scene with the sign {sign}?",
             _who, {"does": _doings, **_IN_SCENE}, _NO_SIGN, others=colours),
    Template("entity_recognition", "choice", "What is on the head of the {colour} person?",
             _hat, {"colour": colours}, _NOBODY, others=lambda facts: HATS),
    Template("entity_recognition", "choice", "Which shape is the {colour} person?",
             _shape, {"colour": colours}, _NOBODY, others=lambda facts: SHAPES),
    Template("entity_recognition", "choice", "What does the {colour} person hold in the scene with the sign {sign}?",
             _held, {"colour": colours, **_IN_SCENE}, _NO_SIGN, others=things),
    Template("event_understanding", "choice",
             "Which of these does the {colour} person do in the scene with the sign {sign}?",
             _does, {"colour": colours, **_IN_SCENE}, _NO_SIGN),
    Template("event_understanding", "choice", "Who is handed the {thing} in the scene with the sign {sign}?",
             _handed, {"thing": things, **_IN_SCENE}, _NO_SIGN, others=colours),
    Template("event_understanding", "choice", "Which of these signs is shown first?",
             _first_sign, {}, pool=signs),
    Template("key_information_retrieval", "text",
             "Which word is on the sign when, {where}, the {colour} person {does}?",
             _word, {"where": _where, "colour": colours, "does": _doings}, _NOBODY),
    Template("key_information_retrieval", "choice", "Which of these words is on no sign of the film?",
             _never_shown, {}, pool=lambda facts: SIGN_WORDS),
    Template("temporal_grounding", "spans", "When is the sign {sign} shown?",
             _when_sign, _IN_SCENE, _NO_SIGN),
    Template("temporal_grounding", "spans", "When is the film {where}?",
             _when_place, {"where": _where}, ("where", _elsewhere)),
    Template("temporal_grounding", "spans",
             "When is it, in the scene with the sign {sign}, that the {colour} person {does}?",
             _when_event, {**_IN_SCENE, "colour": colours, "does": _doings}, _NO_SIGN),
    Template("reasoning", "choice", "Who has the {thing} when the scene with the sign {sign} ends?",
             _last_has, {"thing": things, **_IN_SCENE}, _NO_SIGN, others=colours),
    Template("reasoning", "choice", "Which of these people is in no scene together with the {colour} person?",
             _never_with, {"colour": colours}, pool=colours),
    Template("reasoning", "number",
             "How often does it happen, after the film is first {where} and before it is first {until}, that somebody "
             "{does}?",
             _count_places, {"where": _where, "until": _where, "does": _doings}, ("until", _elsewhere), evenly="does"),
    Template("reasoning", "number",
             "How often does it happen, after the sign {sign} appears and before the sign {until} does, that somebody "
             "{does}?",
             _count_signs, {**_IN_SCENE, "until": signs, "does": _doings}, ("until", unseen_signs), evenly="does"),
    Template("summarization", "choice", "In which of these places is the film for the longest time?",
             _longest_place, {}, pool=places),
    Template("summarization", "choice", "Which of these people is in the picture for the longest time?",
             _longest_person, {}, pool=colours),
)  # fmt: skip
