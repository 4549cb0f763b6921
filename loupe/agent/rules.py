"""What a turn may not do although it can be read: each rule tells the model what would be right, and it goes on."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loupe.agent.scene import ROUNDED_MS, Scene
from loupe.agent.tool import FILM, ToolError, Turn, said_arguments
from loupe.agent.view import percepts_standing
from loupe.timeline import to_ms
from schemas.traces import TurnRecord


@dataclass(frozen=True)
class Moment:
    """Where a rollout stands before a turn is done."""

    scene: Scene
    turns: Sequence[TurnRecord]
    shown: Sequence[TurnRecord]
    """Those that stand in the prompt."""
    round: int
    steps_left: int
    """1: it is the last."""


Rule = Callable[[Moment, Turn], None]
"""Raises ToolError."""


def not_twice_in_a_row(moment: Moment, turn: Turn) -> None:
    """What the turn before did already is refused; but for an answer on the last step, which may have come too soon."""
    if turn.tool.name == "answer" and moment.steps_left == 1:
        return
    last = moment.turns[-1] if moment.turns else None
    if last and last.round == moment.round and _same(last, turn):
        raise ToolError("You did exactly this in the turn before: its result stands above. Do something else.")


def not_what_still_stands(moment: Moment, turn: Turn) -> None:
    """A request whose percept is still shown is refused, and so is one that was refused in the turn before."""
    scene = moment.scene
    standing = percepts_standing(moment.turns, purge=scene.settings.looking.purge)
    if any(_means_the_same(scene, one, turn) and any(one is shown for shown in moment.shown) for one in standing):
        raise ToolError(
            "You have what you ask for: it is shown above. Note what it tells, then look elsewhere, closer, or answer."
        )
    last = moment.turns[-1] if moment.turns else None
    if last and last.is_error and turn.tool.name != "answer" and _same(last, turn):
        raise ToolError("This was refused in the turn before, and would be again. Change what was wrong with it.")


def look_before_answer(moment: Moment, turn: Turn) -> None:
    """An answer before anything was looked at or listened to is refused, unless nothing else is left."""
    if turn.tool.name == "answer" and moment.steps_left > 1 and not any(one.media or one.sound for one in moment.turns):
        raise ToolError("You have seen and heard nothing of the film yet. Look or listen first, then answer.")


def sure_before_answer(moment: Moment, turn: Turn) -> None:
    """An answer that its own confidence does not support is refused, unless it is the last step."""
    sure = moment.scene.settings.looking.sure
    if turn.tool.name == "answer" and moment.steps_left > 1 and (turn.confidence or 0.0) < sure:
        raise ToolError(
            f"Before the last step an answer needs a confidence of at least {sure:g}, and yours is "
            f"{turn.confidence or 0.0:g}. Look or listen for what would make you sure."
        )


def _same(before: TurnRecord, turn: Turn) -> bool:
    return (before.tool, before.arguments) == (turn.tool.name, said_arguments(turn))


def _means_the_same(scene: Scene, percept: TurnRecord, turn: Turn) -> bool:
    """Whether a turn asks for what was perceived, however it writes the times."""
    if percept.tool != turn.tool.name or percept.arguments is None:
        return False
    return _window(scene, json.loads(percept.arguments)) == _window(scene, turn.arguments)


def _window(scene: Scene, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a look or a listening with its ends in milliseconds; about the film's end is its end."""
    number = arguments.get(FILM, 1)
    end_ms = scene.film(number).duration_ms if 1 <= number <= len(scene.films) else 0
    ends = {name: to_ms(arguments[name]) for name in ("start", "end")}
    return {**arguments, **{name: end_ms if abs(at - end_ms) <= ROUNDED_MS else at for name, at in ends.items()}}
