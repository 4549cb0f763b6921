"""A film as data: scenes made of beats, and what is said. `Film.still(t)` is the picture at any time."""

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property

from loupe.benchmarks.toytown.speech import Line
from loupe.benchmarks.toytown.world import Actor, Laid, Still

FPS = 12
FRAME_MS = 1000 / FPS
STEP_MS = 250
"""Every time in a screenplay is a multiple of it: three frames."""
PHASES = 16
"""Steps of an action's phase: coarse, so that few pictures differ."""


@dataclass(frozen=True)
class Move:
    """What one person does during a beat: `actor` at its beginning, and where it is at its end."""

    actor: Actor
    to_x: float


@dataclass(frozen=True)
class Beat:
    """A stretch of a scene in which everybody goes on with one thing."""

    start_ms: int
    end_ms: int
    moves: tuple[Move, ...]
    laid: tuple[Laid, ...]


@dataclass(frozen=True)
class Event:
    """Something that somebody does; `to` is the colour of who is handed the thing."""

    start_ms: int
    end_ms: int
    colour: str
    action: str
    thing: str | None = None
    to: str | None = None


@dataclass(frozen=True)
class Sign:
    """A sign, shown for the whole of a scene or a part of it."""

    start_ms: int
    end_ms: int
    word: str
    x: float


@dataclass(frozen=True)
class Scene:
    """One place for a while. It fades in from black and out to black, or is cut where the fade is 0 ms long."""

    start_ms: int
    end_ms: int
    place: str
    weather: str
    variant: int
    fade_in_ms: int
    fade_out_ms: int
    black_ms: int
    """Black at the scene's end, after the fade."""
    sign: Sign | None
    beats: tuple[Beat, ...]
    events: tuple[Event, ...]

    @cached_property
    def beat_starts(self) -> list[int]:
        return [beat.start_ms for beat in self.beats]

    def light(self, ms: float) -> float:
        """How much light there is, from 1 to 0."""
        since, left = ms - self.start_ms, self.end_ms - self.black_ms - ms
        if left <= 0:
            return 0.0
        coming = since / self.fade_in_ms if since < self.fade_in_ms else 1.0
        going = left / self.fade_out_ms if left < self.fade_out_ms else 1.0
        return round(min(coming, going), 3)


@dataclass(frozen=True)
class Film:
    """A whole film. `name` is its file's, without the ending."""

    name: str
    seed: int
    scenes: tuple[Scene, ...]
    lines: tuple[Line, ...]
    subtitles: bool
    """Whether a sidecar .srt comes with it."""

    @property
    def video_id(self) -> str:
        """Of its file, in a library that is the file's folder."""
        return f"{self.name}.mp4"

    @property
    def duration_ms(self) -> int:
        return self.scenes[-1].end_ms

    @cached_property
    def scene_starts(self) -> list[int]:
        return [scene.start_ms for scene in self.scenes]

    def still(self, seconds: float) -> Still:
        """The picture at a time, in seconds from the first frame; the last one for times past the end."""
        ms = min(seconds * 1000, self.duration_ms - FRAME_MS)
        scene = self.scenes[bisect_right(self.scene_starts, ms) - 1]
        beat = scene.beats[bisect_right(scene.beat_starts, ms) - 1]
        shown = scene.sign if scene.sign and scene.sign.start_ms <= ms < scene.sign.end_ms else None
        falling = scene.weather in ("rain", "snow")
        return Still(
            place=scene.place,
            actors=tuple(_at(move, beat, ms) for move in beat.moves),
            laid=beat.laid,
            sign=shown.word if shown else None,
            sign_x=shown.x if shown else 0.5,
            weather=scene.weather,
            fade=scene.light(ms),
            variant=scene.variant,
            noise=int(ms / 1000 * FPS / 2 + 0.01) if falling else 0,
        )


def _at(move: Move, beat: Beat, ms: float) -> Actor:
    """An actor at a time of a beat: on the way to where the beat ends, the phase going with the action."""
    share = (ms - beat.start_ms) / (beat.end_ms - beat.start_ms)
    seconds = (ms - beat.start_ms) / 1000
    x = move.actor.x + (move.to_x - move.actor.x) * share
    phase = {
        "walks": seconds * 1.5 % 1,
        "waves": seconds % 1,
        "jumps": abs(math.sin(seconds * math.pi / 0.75)),
        "picks up": share,
        "drops": share,
    }.get(move.actor.action, 0.5)
    return replace(move.actor, x=round(x * 256) / 256, phase=round(phase * PHASES) / PHASES)
