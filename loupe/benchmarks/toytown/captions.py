"""The true caption of a still: what a perfect captioner would write, in one fixed grammar."""

from collections.abc import Sequence
from dataclasses import dataclass

from loupe.benchmarks.toytown.world import BLACK_BELOW, PERSON_WIDTH, THING_WIDTH, Actor, Still
from schemas.outputs import FrameCaption

PREPOSITIONS = {"harbour": "at", "station": "at", "beach": "at", "market": "at"}
"""How one is in a place; "in" for every other."""
WITH_THING = ("picks up", "drops", "hands over")
"""Actions that are done to a thing, and name it."""


@dataclass(frozen=True)
class Seen:
    """What of a still can be seen, each from left to right."""

    actors: tuple[Actor, ...] = ()
    held: tuple[bool, ...] = ()
    """For each of `actors`: whether the thing that they have can be seen."""
    things: tuple[str, ...] = ()
    """Held and laid, each name once."""


def visible(still: Still) -> Seen | None:
    """The rules of world.py: what a caption may name; None where the picture is black.

    Hidden is measured in columns of the body (or thing): those off the picture, and those behind the body of
    an actor further back in the tuple, that is, further in front. More than half of them hidden: not seen.
    """
    if still.fade < BLACK_BELOW:
        return None
    people: list[tuple[Actor, bool]] = []
    things = [(laid.x, laid.thing) for laid in still.laid if _is_seen(laid.x, THING_WIDTH, ())]
    for index, actor in enumerate(still.actors):
        in_front = still.actors[index + 1 :]
        has = actor.thing is not None and _is_seen(actor.thing_x, THING_WIDTH, in_front)
        if has:
            things.append((actor.thing_x, str(actor.thing)))
        if _is_seen(actor.x, PERSON_WIDTH, in_front):
            people.append((actor, has))
    people.sort(key=lambda pair: pair[0].x)
    return Seen(
        actors=tuple(actor for actor, _ in people),
        held=tuple(has for _, has in people),
        things=tuple(dict.fromkeys(thing for _, thing in sorted(things))),
    )


def caption(still: Still) -> FrameCaption:
    """The caption of a still."""
    seen = visible(still)
    if seen is None:
        return FrameCaption(
            caption="The picture is black.", subjects=[], actions=[], place="", objects=[], on_screen_text=[]
        )
    actions = []
    for actor, has in zip(seen.actors, seen.held, strict=True):
        name = f"{actor.person.colour} person"
        actions.append(f"{name} {actor.action}{f' {actor.thing}' if has and actor.action in WITH_THING else ''}")
        if has and actor.action not in WITH_THING:
            actions.append(f"{name} holds {actor.thing}")
    where = f"{PREPOSITIONS.get(still.place, 'in')} the {still.place}"
    doings = [_doing(actor, has) for actor, has in zip(seen.actors, seen.held, strict=True)]
    sentence = f"{_join(doings)} {where}." if doings else f"Nobody is {where}."
    return FrameCaption(
        caption=sentence[0].upper() + sentence[1:],
        subjects=[str(actor.person) for actor in seen.actors],
        actions=actions,
        place=still.place,
        objects=list(seen.things),
        on_screen_text=[still.sign] if still.sign else [],
    )


def _doing(actor: Actor, has: bool) -> str:
    """A person and the action, as a clause."""
    article = "an" if actor.person.colour[0] in "aeiou" else "a"
    to = f" the {actor.thing}" if has and actor.action in WITH_THING else ""
    return f"{article} {actor.person.colour} person {actor.action}{to}"


def _join(clauses: Sequence[str]) -> str:
    """Clauses as a list in words: a, b and c."""
    return " and ".join([*([", ".join(clauses[:-1])] if clauses[1:] else []), clauses[-1]])


def _is_seen(x: float, width: float, in_front: Sequence[Actor], columns: int = 32) -> bool:
    """Whether at least half the columns of something centred at `x` are on the picture and behind nobody."""
    at = [x + width * ((column + 0.5) / columns - 0.5) for column in range(columns)]
    hidden = [not 0 <= c <= 1 or any(abs(c - other.x) < PERSON_WIDTH / 2 for other in in_front) for c in at]
    return 2 * sum(hidden) <= columns
