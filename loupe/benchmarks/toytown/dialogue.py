"""Who says what when: the lines of a film, each within one scene and none over another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loupe.benchmarks.toytown.screenplay import STEP_MS, Scene
from loupe.benchmarks.toytown.speech import (
    BRAND_LINES,
    DESCRIPTION_LINES,
    NARRATOR_FILLERS,
    NUMBER_LINE,
    NUMBERS,
    PEOPLE_FILLERS,
    PRICE_LINE,
    TRIP_LINE,
    WISH_LINE,
    Line,
    duration_ms,
)
from loupe.benchmarks.toytown.world import PLACES, THINGS, Person

PAUSE_MS = (1500, 8000)
"""Silence between two lines."""
FACTS_SHARE = 0.7
"""Of the lines at most; fewer in long films, so that the facts last to the end."""
LINE_MS = 8300
"""A line and the silence before it, on average."""


@dataclass(frozen=True)
class Saying:
    """A line that nobody has said yet; `colour` is who must say it, None for the narrator."""

    colour: str | None
    text: str


def write_lines(
    rng: np.random.Generator, scenes: Sequence[Scene], cast: Sequence[Person], brands: list[str]
) -> tuple[Line, ...]:
    """Draw the lines of a film, in order of time. `brands` are those that may be spoken."""
    facts = _facts(rng, cast, brands)
    lines: list[Line] = []
    for scene in scenes:
        clock = scene.start_ms + 500
        while True:
            clock += int(rng.integers(PAUSE_MS[0], PAUSE_MS[1])) // STEP_MS * STEP_MS
            present = _present(scene, clock, cast)
            share = min(FACTS_SHARE, len(facts) * LINE_MS / (scenes[-1].end_ms - scene.start_ms))
            saying = _next(rng, facts, share, present)
            voice = "narrator" if saying.colour is None else _voice(saying.colour, cast)
            end = clock + duration_ms(saying.text, voice)
            if end > scene.end_ms - 500:
                break
            still_there = saying.colour is None or any(p.colour == saying.colour for p in _present(scene, end, cast))
            if not still_there:
                continue
            if saying in facts:
                facts.remove(saying)
            lines.append(Line(clock, end, saying.colour or "narrator", voice, saying.text))
            clock = end
    return tuple(lines)


def _facts(rng: np.random.Generator, cast: Sequence[Person], brands: list[str]) -> list[Saying]:
    """Everything that is said once: brands, prices, and what people tell of themselves, in a random order."""
    facts = [Saying(None, _pick(rng, BRAND_LINES).format(brand=brand.lower())) for brand in brands]
    for thing in THINGS:
        facts.append(Saying(None, PRICE_LINE.format(thing=thing, number=_pick(rng, NUMBERS))))
    for person in cast:
        colour = person.colour
        facts += [
            Saying(colour, NUMBER_LINE.format(colour=colour, number=_pick(rng, NUMBERS))),
            Saying(colour, WISH_LINE.format(colour=colour, thing=_pick(rng, THINGS))),
            Saying(colour, TRIP_LINE.format(colour=colour, place=_pick(rng, PLACES))),
        ]
    return [facts[i] for i in rng.permutation(len(facts))]


def _next(rng: np.random.Generator, facts: Sequence[Saying], share: float, present: Sequence[Person]) -> Saying:
    """A fact that can be told now, or else small talk."""
    here = {person.colour for person in present}
    possible = [fact for fact in facts if fact.colour is None or fact.colour in here]
    if possible and rng.random() < share:
        own = [fact for fact in possible if fact.colour]
        return own[0] if own and rng.random() < 0.6 else possible[0]
    if present and rng.random() < 0.5:
        person = present[int(rng.integers(len(present)))]
        if rng.random() < 0.5:
            return Saying(person.colour, _pick(rng, PEOPLE_FILLERS))
        return Saying(None, _pick(rng, DESCRIPTION_LINES).format(shape=person.shape, hat=person.hat))
    return Saying(None, _pick(rng, NARRATOR_FILLERS))


def _present(scene: Scene, ms: int, cast: Sequence[Person]) -> list[Person]:
    """Who is in the picture at a time."""
    beat = next((beat for beat in scene.beats if beat.start_ms <= ms < beat.end_ms), scene.beats[-1])
    here = {move.actor.person.colour for move in beat.moves}
    return [person for person in cast if person.colour in here]


def _voice(colour: str, cast: Sequence[Person]) -> str:
    """People's voices take turns in the cast."""
    index = [person.colour for person in cast].index(colour)
    return ("low", "high")[index % 2]


def _pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]
