"""Windows of a film that tools are asked for: checked, told back, and what is left of a percept that has gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from loupe.agent.films import Film
from loupe.agent.scene import ROUNDED_MS, Scene
from loupe.agent.stamps import moment
from loupe.agent.tool import ToolError
from loupe.timeline import linspace_ms, to_ms
from schemas.traces import MediaRef

Count = Annotated[int, Field(ge=1, json_schema_extra={"maximum": 1000})]
"""Of frames, as a tool is asked for them; `spread` says how many there may be."""
STAMPS = 8
"""Time stamps that a line names one by one; of more of them the first two and the last, which give the others."""


@dataclass(frozen=True)
class Window:
    """[start, end] within a film of a scene."""

    scene: Scene
    number: int
    """The film's, in the prompt."""
    film: Film
    start_ms: int
    end_ms: int

    @property
    def told(self) -> dict[str, object]:
        """As prompts tell it."""
        return {"film": self.number, "start": moment(self.start_ms), "end": moment(self.end_ms)}

    def goes_on(self) -> str:
        """Whether the film does, behind the window."""
        name = "film_goes_on" if self.end_ms < self.film.duration_ms else "film_ends"
        return self.scene.prompt(name, length=moment(self.film.duration_ms))

    def at_most(self, limit_s: float, done: str) -> None:
        """Raises ToolError where it is longer than can be `done`, or has no length."""
        if not self.start_ms < self.end_ms <= self.start_ms + round(1000 * limit_s):
            raise ToolError(
                f"What is {done} at once lasts more than 0 and at most {limit_s:g} seconds, "
                f"not {(self.end_ms - self.start_ms) / 1000:g}: choose another end."
            )

    def spread(self, frames: int) -> list[int]:
        """Times of frames evenly apart, start and end included; at the film's very end its last picture is meant.

        Raises ToolError for more frames than one look may take.
        """
        most = self.scene.limits.frames
        if frames > most:
            raise ToolError(f"At most {most} frames can be looked at together, not {frames}.")
        return [min(ts_ms, self.film.duration_ms - 1) for ts_ms in linspace_ms(self.start_ms, self.end_ms, frames)]

    async def look(self, times_ms: Sequence[int]) -> tuple[MediaRef, ...]:
        """Frames of it, as the model is shown them. Raises ToolError where none can be decoded."""
        seen = await self.scene.look(self.film, times_ms)
        if not seen:
            at = moment(self.start_ms)
            raise ToolError(f"The film has no picture there that can be decoded. Look before or after {at}.")
        return tuple(one.media for one in seen)

    def gone(self, kind: str, media: Sequence[MediaRef] = ()) -> str:
        """The line that takes the place of a percept once there is a newer one: what it was, and when."""
        at = [moment(one.ts_ms) for one in media]
        stamps = ", ".join(at if len(at) <= STAMPS else [*at[:2], "...", at[-1]])
        return self.scene.prompt("percept_gone", kind=kind, stamps=stamps or "all of it", **self.told)


def window(scene: Scene, number: int, start: float, end: float) -> Window:
    """A window of a film, in seconds. Raises ToolError where there is none."""
    film, start_ms, end_ms = scene.film(number), to_ms(start), to_ms(end)
    if film.duration_ms <= start_ms:
        raise ToolError(f"The film ends at {moment(film.duration_ms)}: there is no more of it. Go back, or answer.")
    if start_ms >= 0 and film.duration_ms + ROUNDED_MS < end_ms:
        raise ToolError(
            f'The film ends at {moment(film.duration_ms)}: ask for "start":{moment(start_ms)},'
            f'"end":{moment(film.duration_ms)}.'
        )
    if not 0 <= start_ms <= end_ms:
        raise ToolError(
            f"start and end are seconds with 0 <= start <= end <= {moment(film.duration_ms)}, "
            f"not {start:g} and {end:g}."
        )
    return Window(scene, number, film, start_ms, min(end_ms, film.duration_ms))
