"""Single stills at random, spread like those of films, for training: no film needed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from loupe.benchmarks.toytown.world import (
    ACTIONS,
    COLOURS,
    EDGE,
    HAND_OVER_GAP,
    HATS,
    PLACES,
    SHAPES,
    SIGN_WORDS,
    THING_WIDTH,
    THINGS,
    WEATHERS,
    Action,
    Actor,
    Facing,
    Laid,
    Person,
    Still,
)  # fmt: skip

T = TypeVar("T")

SLOTS = (0.2, 0.5, 0.8)
"""Where people stand; a little to the side of it in each still."""
PEOPLE = (0.1, 0.25, 0.4, 0.25)
"""Shares of stills with 0, 1, 2 and 3 people."""
ALONE: tuple[Action, ...] = tuple(action for action in ACTIONS if action != "hands over")
ALONE_INSIDE: tuple[Action, ...] = tuple(action for action in ALONE if action not in ("enters", "leaves"))
"""What one can do between two others."""
UNSURE_FADE = (0.28, 0.42)
"""Light that is neither clearly a picture nor clearly black is left out."""


def random_still(rng: np.random.Generator) -> Still:
    """Draw a still. Same generator state, same still."""
    things = [str(thing) for thing in rng.permutation(THINGS)]
    actors = _actors(rng, things)
    return Still(
        place=_pick(rng, PLACES),
        actors=actors,
        laid=_laid(rng, things, actors),
        sign=_pick(rng, SIGN_WORDS) if rng.random() < 0.5 else None,
        sign_x=round(float(rng.uniform(0.1, 0.9)), 3),
        weather=_pick(rng, WEATHERS[1:]) if rng.random() < 0.5 else "clear",
        fade=_fade(rng),
        variant=int(rng.integers(2**31)),
        noise=int(rng.integers(2**31)),
    )


def random_people(rng: np.random.Generator, count: int) -> list[Person]:
    """People of different colours, at most eight."""
    colours = rng.permutation(COLOURS)[:count]
    return [Person(str(colour), _pick(rng, SHAPES), _pick(rng, HATS)) for colour in colours]


def _pick(rng: np.random.Generator, values: Sequence[T]) -> T:
    return values[int(rng.integers(len(values)))]


def _actors(rng: np.random.Generator, things: list[str]) -> tuple[Actor, ...]:
    """People in slots, each doing one of the actions about as often; takes what they hold out of `things`."""
    people = random_people(rng, int(rng.choice(4, p=PEOPLE)))
    slots = sorted(int(slot) for slot in rng.permutation(3)[: len(people)])
    actors = [_actor(rng, things, person, slot, slots) for person, slot in zip(people, slots, strict=True)]
    if len(actors) > 1 and rng.random() < 0.22:
        actors = _hand_over(rng, things, actors)
    return tuple(actors[i] for i in rng.permutation(len(actors)))


def _actor(rng: np.random.Generator, things: list[str], person: Person, slot: int, slots: list[int]) -> Actor:
    """A person in a slot, or at the edge beside it when entering or leaving."""
    edges = [side for side in (0, 2) if slot == side or (slot == 1 and side not in slots)]
    action = _pick(rng, ALONE if edges else ALONE_INSIDE)
    facing: Facing = 1 if rng.random() < 0.5 else -1
    x = SLOTS[slot] + rng.uniform(-0.025, 0.025)
    if action in ("enters", "leaves"):
        left = edges[int(rng.integers(len(edges)))] == 0
        x = rng.uniform(0.04, EDGE - 0.03)
        x = x if left else 1 - x
        facing = 1 if left == (action == "enters") else -1
    thing = things.pop() if action in ("picks up", "drops") or rng.random() < 0.3 else None
    return Actor(person, round(float(x), 3), facing, action, round(float(rng.random()), 3), thing)


def _hand_over(rng: np.random.Generator, things: list[str], actors: list[Actor]) -> list[Actor]:
    """Two neighbours hand something over, whatever they were to do; a third one keeps to the other side."""
    first = int(rng.integers(len(actors) - 1))
    giver, taker = (first, first + 1) if rng.random() < 0.5 else (first + 1, first)
    facing: Facing = 1 if giver < taker else -1
    back: Facing = -1 if giver < taker else 1
    middle = float(rng.uniform(0.32, 0.68))
    if len(actors) == 3:
        middle = 0.36 if first == 0 else 0.64
        third = 2 if first == 0 else 0
        if actors[third].action not in ("enters", "leaves"):
            actors[third] = replace(actors[third], x=0.83 if third == 2 else 0.17)
    at = [round(middle + side * facing * HAND_OVER_GAP / 2, 3) for side in (-1, 1)]
    thing = actors[giver].thing or things.pop()
    actors[giver] = replace(actors[giver], x=at[0], facing=facing, action="hands over", thing=thing)
    actors[taker] = replace(actors[taker], x=at[1], facing=back, action="stands", thing=None)
    return actors


def _laid(rng: np.random.Generator, things: list[str], actors: tuple[Actor, ...]) -> tuple[Laid, ...]:
    """Up to two things on the ground, apart from each other and from every thing that somebody has."""
    taken = [actor.thing_x for actor in actors if actor.thing]
    laid = []
    for _ in range(int(rng.choice(3, p=(0.5, 0.3, 0.2)))):
        x = round(float(rng.uniform(0.08, 0.92)), 3)
        if all(abs(x - other) > THING_WIDTH * 1.1 for other in taken):
            laid.append(Laid(things.pop(), x))
            taken.append(x)
    return tuple(laid)


def _fade(rng: np.random.Generator) -> float:
    """Full light mostly; now and then on the way to black or back."""
    if rng.random() > 0.1:
        return 1.0
    fade = float(rng.random())
    low, high = UNSURE_FADE
    return round(high if low < fade < high else fade, 3)
