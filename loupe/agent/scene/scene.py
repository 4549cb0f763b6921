"""One question at a desk: its films, and what can be seen, heard and found in them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from loupe import prompts
from loupe.agent.films import Film
from loupe.agent.footage import FilmFile
from loupe.agent.scene.desk import Desk
from loupe.agent.scene.media import Frame, Heard, ShownMedia, Source, frame_of
from loupe.agent.scene.models import Models
from loupe.agent.tool import ToolError
from loupe.config import Looking
from loupe.engines.waves import wav
from loupe.library import StoredFrame
from loupe.library.search import Hit, LevelName
from loupe.media import MediaError
from loupe.prompts import Prompt
from loupe.sound import Sound
from loupe.storage import ObjectChanged
from loupe.timeline import to_ms
from schemas.messages import Audio
from schemas.questions import Question
from schemas.traces import Evidence, SoundRef

ROUNDED_MS = 100
"""A prompt tells times to a tenth of a second: so much past the film's end is meant to be its end."""


@dataclass(frozen=True)
class Limits:
    """How much one look may take, at most."""

    frames: int = 60
    listen_s: float = 300
    watch_s: float = 60

    def within(self, looking: Looking) -> "Limits":
        """The same, narrowed by a config."""
        return Limits(
            min(self.frames, looking.frames),
            min(self.listen_s, looking.listen_seconds),
            min(self.watch_s, looking.watch_seconds),
        )


class Scene:
    """One question at a desk: the films that it is about, cut off where the question says so."""

    def __init__(
        self, desk: Desk, question: Question, films: Sequence[Film], limits: Limits, *, routed: bool = False
    ) -> None:
        self.desk = desk
        self.question = question
        self.films = tuple(film.before(question.before_ms) for film in films)
        self.routed = routed
        self.settings = desk.answer
        self.limits = limits.within(desk.answer.looking)
        self.media = ShownMedia()
        self.models = Models(desk, question, self.media)
        self.used: dict[str, Prompt] = {}
        """Prompts that were filled, by name."""

    @property
    def several(self) -> bool:
        """Whether tools must say which film."""
        return len(self.films) > 1

    @property
    def indexed(self) -> bool:
        """Whether every film can be searched."""
        return self.desk.library is not None and all(film.parts for film in self.films)

    def film(self, number: int) -> Film:
        """A film by its number in the prompt. Raises ToolError."""
        if not 1 <= number <= len(self.films):
            raise ToolError(f"There is no film {number}: films are numbered 1 to {len(self.films)}.")
        return self.films[number - 1]

    def prompt(self, name: str, **values: object) -> str:
        """A prompt of the config's set, filled."""
        return self.load(name).fill(**values)

    def load(self, name: str) -> Prompt:
        """A prompt of the config's set."""
        known = self.desk.prompts
        if name not in known:
            known[name] = prompts.load(self.desk.config.prompts, name)
        self.used[name] = known[name]
        return known[name]

    # Films

    def file_of(self, film: Film) -> FilmFile:
        """A film's file. Raises ToolError where the database does not say."""
        if film.file is None:
            raise ToolError(f"The file of {film.video_id} is not known; it cannot be looked at.")
        return film.file

    def can_hear(self, film: Film) -> bool:
        """Whether there is sound, and somebody to listen."""
        return self.settings.looking.hearing != "off" and self.file_of(film).has_audio

    def window(self, film: Film, start: float | None, end: float | None) -> tuple[int, int]:
        """Seconds as milliseconds of the film, from its start and to its end where they are None. Raises ToolError."""
        start_ms = 0 if start is None else to_ms(start)
        end_ms = film.duration_ms if end is None else min(to_ms(end), film.duration_ms)
        if not 0 <= start_ms < end_ms:
            raise ToolError(
                f"start and end are seconds with 0 <= start < end <= {film.duration_ms / 1000:.1f}, "
                f"not {start} and {end}."
            )
        return start_ms, end_ms

    def frame_times(self, film: Film, times: Sequence[float]) -> list[int]:
        """The frames nearest to times in seconds, each once, in order. Raises ToolError."""
        seconds = film.duration_ms / 1000
        outside = [time for time in times if not 0 <= to_ms(time) <= film.duration_ms + ROUNDED_MS]
        if outside:
            raise ToolError(f"Times are seconds from 0 to {seconds:.1f}; {outside[0]:g} is not in the film.")
        nearest = {film.nearest(to_ms(time)) for time in times}
        return sorted(ts_ms for ts_ms in nearest if ts_ms is not None)

    def evidence(self, film: Film, times: Sequence[float]) -> tuple[Evidence, ...]:
        """What was seen nearest to times in seconds: pictures that were looked at, or frames of the index.

        Raises ToolError for a time that is not in the film.
        """
        stored = "decode" if film.decoded else "frames"
        known = [(one.ts_ms, "decode", one.lineage) for one in self.media.seen(film.video_id) if one.source == "decode"]
        known += [(ts_ms, stored, film.lineage_at(ts_ms)) for ts_ms in self.frame_times(film, times)]
        found = {min(known, key=lambda one: abs(one[0] - to_ms(time))) for time in times} if known else ()
        return tuple(
            Evidence(video_id=film.video_id, start_ms=ts_ms, end_ms=ts_ms, source=source, lineage=lineage)
            for ts_ms, source, lineage in sorted(found)
        )

    async def frames(self, film: Film, times_ms: Sequence[int]) -> list[Frame]:
        """The film's frames with these keys, in order of time; those that are not there are left out.

        Raises ToolError where the film has to be decoded and cannot be, StorageError where it cannot be read.
        """
        with self._reading(film, "frames"):
            stored = await asyncio.to_thread(self._stored, film, times_ms)
        source: Source = "decode" if film.decoded else "table"
        return [self._shown(frame_of(film.video_id, one, source, film.lineage_at(one.ts_ms))) for one in stored]

    async def look(self, film: Film, times_ms: Sequence[int]) -> list[Frame]:
        """The pictures on screen at any times, decoded from the film itself; those that are lost are left out.

        Raises ToolError where it cannot be decoded, StorageError where it cannot be read.
        """
        file = self.file_of(film)
        with self._reading(film, "frames"):
            decoded = await asyncio.to_thread(self.desk.footage.frames, file, times_ms)
        lineage = self.desk.footage.lineage(file)
        return [self._shown(frame_of(film.video_id, one, "decode", lineage)) for one in decoded]

    async def listen(self, film: Film, start_ms: int, end_ms: int) -> Heard:
        """The sound of [start, end), in words or for the model to hear. Raises ToolError, StorageError, EngineError."""
        file, hearing = self.file_of(film), self.settings.looking.hearing
        if not file.has_audio:
            raise ToolError("The film has no sound. Look at it instead.")
        if hearing == "off":
            raise ToolError("Nothing can be heard here. Look at the film instead.")
        ref = SoundRef(
            video_id=film.video_id,
            start_ms=start_ms,
            end_ms=end_ms,
            lineage=self.desk.footage.lineage(file),
            given="words" if hearing == "transcript" else "sound",
        )
        if ref.given == "words":
            lines = self.desk.heard(file, start_ms, end_ms)
            if lines is None:
                lines = await self.models.transcribe(file, ref, await self._sound(film, ref))
            return Heard(ref, lines)
        key = f"{film.video_id}@{start_ms}-{end_ms}/{ref.lineage}"
        self.media.keep(ref, Audio(wav=wav(await self._sound(film, ref)), key=key))
        return Heard(ref, ())

    async def _sound(self, film: Film, ref: SoundRef) -> Sound:
        with self._reading(film, "sound"):
            return await asyncio.to_thread(self.desk.footage.sound, self.file_of(film), ref.start_ms, ref.end_ms)

    @contextmanager
    def _reading(self, film: Film, what: str) -> Iterator[None]:
        """Where a film is decoded. Raises ToolError where it cannot be. One that was replaced is held no longer."""
        try:
            yield
        except MediaError as error:
            raise ToolError(f"The {what} cannot be decoded: {error}") from error
        except ObjectChanged:
            self.desk.films.forget(film.video_id)
            raise

    def _shown(self, frame: Frame) -> Frame:
        self.media.keep(frame.media, frame.image)
        return frame

    def _stored(self, film: Film, times_ms: Sequence[int]) -> list[StoredFrame]:
        if film.decoded:
            return self.desk.footage.frames(self.file_of(film), times_ms)
        assert self.desk.library is not None  # it gave the film
        return self.desk.library.frames(film.video_id, times_ms)

    async def search(
        self, query: str, film: Film, *, level: LevelName, start_ms: int, end_ms: int, top_k: int
    ) -> list[Hit]:
        """Hits in a film, best first. What ends after the question's limit is not found."""
        library, embedder, mode = self.desk.library, self.desk.embedder, self.settings.search_mode
        assert library is not None and embedder is not None  # noqa: PT018 - policies say index

        def find() -> list[Hit]:
            found = library.search(
                query,
                embedder.embed_query(query).tolist(),
                level=level,
                video_id=film.video_id,
                start_ms=start_ms,
                end_ms=end_ms,
                mode=mode,
                top_k=top_k,
            )
            return found.hits

        limit = self.question.before_ms
        return [hit for hit in await asyncio.to_thread(find) if limit is None or hit.end_ms <= limit]
