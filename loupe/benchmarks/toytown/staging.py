"""How a scene's beats and events are drawn: a stage on which one person after the other does something."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from loupe.benchmarks.toytown.screenplay import STEP_MS, Beat, Event, Move
from loupe.benchmarks.toytown.world import (
    HAND_OVER_GAP,
    HELD_AT,
    THING_WIDTH,
    Action,
    Actor,
    Facing,
    Laid,
    Person,
)

SLOTS = (0.2, 0.5, 0.8)
APART = 0.22
"""Two people stand at least this far apart."""
EDGE_ROOM = 0.3
"""Nobody stands nearer to an edge at which another one enters or leaves."""
INSIDE = (0.17, 0.83)
"""Where people stand and go to."""
AT_EDGE = (0.05, 0.11)
"""From where to where one who enters moves; mirrored and turned for the other edge and for who leaves."""
WALK_MS_A_PICTURE = 7000
"""How long a walk over the whole width takes."""
ALONE: tuple[Action, ...] = ("jumps", "waves", "sits")
TURNS: tuple[Facing, ...] = (-1, 1)


@dataclass
class Standing:
    """Somebody on the stage, between two actions."""

    person: Person
    x: float
    facing: Facing
    thing: str | None = None


@dataclass
class Stage:
    """A scene while it is drawn. `clock` is the time up to which beats exist, in ms from the film's start."""

    rng: np.random.Generator
    clock: int
    absent: list[Person]
    """Who could enter."""
    things: list[str]
    """What nobody has yet: who enters may bring one."""
    people: list[Standing] = field(default_factory=list)
    laid: list[Laid] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def fork(self) -> "Stage":
        """The same stage for a trial: what is played on it leaves this one as it is."""
        return Stage(
            rng=self.rng,
            clock=self.clock,
            absent=list(self.absent),
            things=list(self.things),
            people=[replace(who) for who in self.people],
            laid=list(self.laid),
            beats=list(self.beats),
            events=list(self.events),
        )

    def play(self, ms: int, who: Standing | None = None, action: Action = "stands", to_x: float | None = None) -> None:
        """A beat in which one does something and the others stand still."""
        ms = max(STEP_MS, round(ms / STEP_MS) * STEP_MS)
        moves = []
        for standing in self.people:
            active = standing is who
            actor = Actor(
                standing.person, standing.x, standing.facing, action if active else "stands", 0.5, standing.thing
            )
            moves.append(Move(actor, to_x if active and to_x is not None else standing.x))
        self.beats.append(Beat(self.clock, self.clock + ms, tuple(moves), tuple(self.laid)))
        self.clock += ms
        if who and to_x is not None:
            who.x = to_x

    def act(self, ms: int, who: Standing, action: Action, to_x: float | None = None, to: str | None = None) -> None:
        """A beat that is an event."""
        start = self.clock
        self.play(ms, who, action, to_x)
        thing = who.thing if action in ("picks up", "drops", "hands over") else None
        self.events.append(Event(start, self.clock, who.person.colour, action, thing, to))

    def walk(self, who: Standing, x: float) -> None:
        """Go somewhere, unless one is as good as there."""
        if abs(x - who.x) > 0.02:
            who.facing = 1 if x > who.x else -1
            self.play(int(max(750, abs(x - who.x) * WALK_MS_A_PICTURE)), who, "walks", x)
        who.x = x

    def is_free(self, x: float, *but: Standing) -> bool:
        """Whether somebody can stand there."""
        others = [other for other in self.people if other not in but]
        return INSIDE[0] <= x <= INSIDE[1] and all(abs(x - other.x) >= APART for other in others)

    def can_lay(self, x: float) -> bool:
        """Whether a thing can be put down there."""
        return 0.08 <= x <= 0.92 and all(abs(x - laid.x) > THING_WIDTH * 1.1 for laid in self.laid)

    def free_edges(self, *but: Standing) -> list[float]:
        """The edges, 0 and 1, at which somebody can enter or leave without hiding anybody."""
        others = [other.x for other in self.people if other not in but]
        return [edge for edge in (0.0, 1.0) if all(abs(edge - x) >= EDGE_ROOM for x in others)]

    def event_ms(self) -> int:
        """How long an event takes: long enough for one sample a second to see it."""
        return int(self.rng.integers(6, 13)) * STEP_MS


Script = Callable[[], None]
"""Plays one event with the steps that lead to it."""


def scripts(stage: Stage) -> dict[str, list[Script]]:
    """Every event that could come next, by action."""
    found: dict[str, list[Script]] = {"enters": [], "leaves": [], "picks up": [], "drops": [], "hands over": []}
    free = [x for x in SLOTS if stage.is_free(x)]
    if stage.absent and free and len(stage.people) < 3 and stage.free_edges():
        found["enters"].append(partial(_enter, stage, free))
    for who in stage.people:
        if stage.free_edges(who):
            found["leaves"].append(partial(_leave, stage, who))
        for action in ALONE:
            found.setdefault(action, []).append(partial(_alone, stage, who, action))
        if not who.thing:
            for laid in stage.laid:
                if spots := [x for turn in TURNS if stage.is_free(x := laid.x - turn * HELD_AT["picks up"] / 256, who)]:
                    found["picks up"].append(partial(_pick_up, stage, who, laid, spots))
            continue
        if turns := [turn for turn in TURNS if stage.can_lay(who.x + turn * HELD_AT["drops"] / 256)]:
            found["drops"].append(partial(_drop, stage, who, turns))
        for taker in stage.people:
            spots = [x for turn in TURNS if stage.is_free(x := taker.x + turn * HAND_OVER_GAP, who)]
            if taker is not who and not taker.thing and spots:
                found["hands over"].append(partial(_hand_over, stage, who, taker, spots))
    return {action: choices for action, choices in found.items() if choices}


def play_next(stage: Stage, counts: Counter[str]) -> str:
    """Play one of the possible events, rather one of a kind that came seldom so far; returns its action."""
    possible = scripts(stage)
    weights = np.array([1 / (1 + counts[action]) ** 1.5 for action in possible])
    action = list(possible)[int(stage.rng.choice(len(possible), p=weights / weights.sum()))]
    choices = possible[action]
    choices[int(stage.rng.integers(len(choices)))]()
    stage.play(int(stage.rng.integers(2, 7)) * STEP_MS)
    return action


def _enter(stage: Stage, free: list[float]) -> None:
    rng = stage.rng
    who = Standing(stage.absent.pop(int(rng.integers(len(stage.absent)))), 0.0, 1)
    if stage.things and rng.random() < 0.5:
        who.thing = stage.things.pop()
    left = _pick_edge(stage) == 0
    who.x = AT_EDGE[0] if left else 1 - AT_EDGE[0]
    who.facing = 1 if left else -1
    stage.people.insert(int(rng.integers(len(stage.people) + 1)), who)
    stage.act(stage.event_ms(), who, "enters", AT_EDGE[1] if left else 1 - AT_EDGE[1])
    who.x = INSIDE[0] if left else INSIDE[1]
    stage.walk(who, min(free, key=lambda x: abs(x - who.x)))


def _pick_edge(stage: Stage) -> float:
    edges = stage.free_edges()
    return edges[int(stage.rng.integers(len(edges)))]


def _leave(stage: Stage, who: Standing) -> None:
    left = min(stage.free_edges(who), key=lambda edge: abs(edge - who.x)) == 0
    stage.walk(who, INSIDE[0] if left else INSIDE[1])
    who.x, who.facing = (AT_EDGE[1], -1) if left else (1 - AT_EDGE[1], 1)
    stage.act(stage.event_ms(), who, "leaves", AT_EDGE[0] if left else 1 - AT_EDGE[0])
    stage.people.remove(who)
    stage.absent.append(who.person)
    if who.thing:
        stage.things.append(who.thing)


def _alone(stage: Stage, who: Standing, action: Action) -> None:
    if stage.rng.random() < 0.3:
        who.facing = 1 if who.facing == -1 else -1
    stage.act(stage.event_ms(), who, action)


def _drop(stage: Stage, who: Standing, turns: list[Facing]) -> None:
    who.facing = turns[int(stage.rng.integers(len(turns)))]
    stage.act(stage.event_ms(), who, "drops")
    stage.laid.append(Laid(str(who.thing), who.x + who.facing * HELD_AT["drops"] / 256))
    who.thing = None


def _pick_up(stage: Stage, who: Standing, laid: Laid, spots: list[float]) -> None:
    stage.walk(who, min(spots, key=lambda x: abs(x - who.x)))
    who.facing = 1 if laid.x > who.x else -1
    stage.laid.remove(laid)
    who.thing = laid.thing
    stage.act(stage.event_ms(), who, "picks up")


def _hand_over(stage: Stage, who: Standing, taker: Standing, spots: list[float]) -> None:
    stage.walk(who, min(spots, key=lambda x: abs(x - who.x)))
    who.facing = 1 if taker.x > who.x else -1
    taker.facing = -1 if who.facing == 1 else 1
    stage.act(stage.event_ms(), who, "hands over", to=taker.person.colour)
    taker.thing, who.thing = who.thing, None
