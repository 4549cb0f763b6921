"""Windows of a film that tools are asked for: checked, told back, and what is left of a percept that has gone."""

from collections.abc import Sequence

from loupe.agent.films import Film
from loupe.agent.scene import Scene
from loupe.agent.tool import ToolError
from loupe.timeline import linspace_ms
from schemas.traces import MediaRef

ROUNDED_MS = 100
"""A prompt tells the length of a film to a tenth of a second: so much past its end is meant to be its end."""
STAMPS = 8
"""Time stamps that a line names one by one; of more of them the first two and the last, which give the others."""


def window(film: Film, start: float, end: float) -> tuple[int, int]:
    """Seconds as milliseconds within the film. Raises ToolError."""
    start_ms, end_ms = round(1000 * start), round(1000 * end)
    if not 0 <= start_ms <= end_ms <= film.duration_ms + ROUNDED_MS or start_ms >= film.duration_ms:
        raise ToolError(
            f"start and end are seconds with 0 <= start <= end <= {seconds(film.duration_ms)}, "
            f"not {start:g} and {end:g}."
        )
    return start_ms, min(end_ms, film.duration_ms)


def at_most(start_ms: int, end_ms: int, limit_s: float, done: str) -> None:
    """Raises ToolError for a window that is longer than can be `done`, or has no length."""
    if not start_ms < end_ms <= start_ms + round(1000 * limit_s):
        raise ToolError(
            f"What is {done} at once lasts more than 0 and at most {limit_s:g} seconds, "
            f"not {(end_ms - start_ms) / 1000:g}: choose another end."
        )


def spread(scene: Scene, film: Film, start_ms: int, end_ms: int, frames: int) -> list[int]:
    """Times of frames evenly apart, start and end included; at the film's very end its last picture is meant.

    Raises ToolError for more frames than one look may take.
    """
    if frames > scene.limits.frames:
        raise ToolError(f"At most {scene.limits.frames} frames can be looked at together, not {frames}.")
    return [min(ts_ms, film.duration_ms - 1) for ts_ms in linspace_ms(start_ms, end_ms, frames)]


def gone(scene: Scene, kind: str, film: int, start_ms: int, end_ms: int, media: Sequence[MediaRef] = ()) -> str:
    """The line that takes the place of a percept once there is a newer one: what it was, and when."""
    at = [seconds(one.ts_ms) for one in media]
    stamps = ", ".join(at if len(at) <= STAMPS else [*at[:2], "...", at[-1]])
    return scene.prompt(
        "percept_gone", kind=kind, film=film, start=seconds(start_ms), end=seconds(end_ms), stamps=stamps or "all of it"
    )


def seconds(ms: int) -> str:
    """As prompts show a time."""
    return f"{ms / 1000:.1f}"
