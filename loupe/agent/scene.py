"""What a question's turns and tools work with: films, frames, search, models, and the record of every call."""

import asyncio
import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Literal, TypeVar

from PIL import Image as Picture

from loupe import prompts
from loupe.agent.budget import Spent
from loupe.agent.films import Film, Films, FilmShelf, decode_frames
from loupe.agent.footage import DecodedFootage, FilmFile, Footage
from loupe.agent.tool import ToolError
from loupe.config import Answer, Config, Looking, Role, digest
from loupe.embedding import Embedder
from loupe.engines.asking import Asked, ask
from loupe.engines.protocol import ChatRequest, Engine, EngineError, Reply
from loupe.engines.speech import Spoken, Transcriber
from loupe.engines.waves import wav
from loupe.library import Library, StoredFrame
from loupe.library.search import Hit, LevelName
from loupe.media import MediaError, Sound
from loupe.prompts import Prompt
from loupe.storage import StorageError
from loupe.transcribing import transcribe
from schemas.messages import Audio, Image, Message, Part, Text
from schemas.questions import Question
from schemas.traces import Call, Limit, MediaRef, ShownMessage, ShownPart, SoundRef, prompt_hash

T = TypeVar("T")
Source = Literal["table", "decode"]


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


@dataclass(frozen=True)
class Heard:
    """What was listened to."""

    sound: SoundRef
    lines: tuple[Spoken, ...]
    """What is said, in time of the film; none where the model hears for itself."""


@dataclass
class Desk:
    """What all questions of a process share."""

    library: Library | None
    """None where there is no index, or none is used; then nobody embeds either."""
    embedder: Embedder | None
    engines: Mapping[str, Engine]
    """By the model's name in the config."""
    config: Config
    run: str
    """Which run of the questions this is: part of every trace's id."""
    transcriber: Transcriber | None = None
    """Who turns sound into words; None where nobody has the role."""
    root: str | None = None
    """Folder or s3:// prefix of films, for those that the database does not hold."""
    clock: Callable[[], float] = time.monotonic
    spent: Spent = field(init=False)
    """By all questions together."""

    def __post_init__(self) -> None:
        self.spent = Spent(self.clock())

    @cached_property
    def films(self) -> FilmShelf:
        """The films that questions share."""
        return Films(self.library, self.root, self.config.index)

    @cached_property
    def footage(self) -> Footage:
        """What the films show and sound like."""
        return DecodedFootage(self.config.index, self.answer.job.footage_mb << 20)

    @cached_property
    def prompts(self) -> dict[str, Prompt]:
        """Prompts of the config's set that were asked for."""
        return {}

    @cached_property
    def config_hash(self) -> str:
        """Of all that decides about an answer."""
        return digest(self.config.of_an_answer())

    @property
    def answer(self) -> Answer:
        """How questions are answered."""
        return self.config.answer

    async def hear(self, sound: Sound, start_ms: int) -> list[Spoken]:
        """The lines that are said in a sound that begins at a time of its film. Raises EngineError."""
        assert self.transcriber is not None  # needed_roles
        return await transcribe(sound, start_ms, self.transcriber)

    async def close(self) -> None:
        """Close the engines."""
        await asyncio.gather(*(engine.close() for engine in self.engines.values()))
        if self.transcriber:
            await self.transcriber.close()


def transcript_id(desk: Desk, question: Question) -> str:
    """Which rollout: unique over the runs of a question."""
    return f"{question.question_id}@{desk.run}"


@dataclass(frozen=True)
class Frame:
    """A frame of a film, to be shown."""

    media: MediaRef
    image: Image


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
        self.spent = Spent(desk.clock())
        self.calls: list[Call] = []
        """What models were asked since somebody took this list (take_calls)."""
        self.used: dict[str, Prompt] = {}
        """Prompts that were filled, by name."""
        self._media: dict[MediaRef | SoundRef, Image | Audio] = {}
        self._refs: dict[str | None, ShownPart] = {}
        """By the keys of pictures and sounds."""

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
        start_ms = 0 if start is None else round(1000 * start)
        end_ms = film.duration_ms if end is None else min(round(1000 * end), film.duration_ms)
        if not 0 <= start_ms < end_ms:
            raise ToolError(
                f"start and end are seconds with 0 <= start < end <= {film.duration_ms / 1000:.1f}, "
                f"not {start} and {end}."
            )
        return start_ms, end_ms

    def frame_times(self, film: Film, times: Sequence[float]) -> list[int]:
        """The frames nearest to times in seconds, each once, in order. Raises ToolError."""
        seconds = film.duration_ms / 1000
        outside = [time for time in times if not 0 <= time <= seconds]
        if outside:
            raise ToolError(f"Times are seconds from 0 to {seconds:.1f}; {outside[0]:g} is not in the film.")
        nearest = {film.nearest(round(1000 * time)) for time in times}
        return sorted(ts_ms for ts_ms in nearest if ts_ms is not None)

    async def frames(self, film: Film, times_ms: Sequence[int]) -> list[Frame]:
        """The film's frames with these keys, in order of time; those that are not there are left out.

        Raises ToolError where the film has to be decoded and cannot be.
        """
        try:
            stored = await asyncio.to_thread(self._stored, film, times_ms)
        except (MediaError, StorageError) as error:
            raise ToolError(f"The frames cannot be decoded: {error}") from error
        source: Source = "decode" if film.decoded_from else "table"
        return [self._frame(film, one, source, film.lineage_at(one.ts_ms)) for one in stored]

    async def look(self, film: Film, times_ms: Sequence[int]) -> list[Frame]:
        """The pictures on screen at any times, decoded from the film itself; those that are lost are left out.

        Raises ToolError where it cannot be decoded.
        """
        file = self.file_of(film)
        try:
            decoded = await asyncio.to_thread(self.desk.footage.frames, file, times_ms)
        except (MediaError, StorageError) as error:
            raise ToolError(f"The frames cannot be decoded: {error}") from error
        lineage = self.desk.footage.lineage(file)
        return [self._frame(film, one, "decode", lineage) for one in decoded]

    async def listen(self, film: Film, start_ms: int, end_ms: int) -> Heard:
        """The sound of [start, end), in words or for the model to hear. Raises ToolError, EngineError."""
        file, hearing = self.file_of(film), self.settings.looking.hearing
        if not file.has_audio:
            raise ToolError("The film has no sound. Look at it instead.")
        if hearing == "off":
            raise ToolError("Nothing can be heard here. Look at the film instead.")
        try:
            samples = await asyncio.to_thread(self.desk.footage.sound, file, start_ms, end_ms)
        except (MediaError, StorageError) as error:
            raise ToolError(f"The sound cannot be decoded: {error}") from error
        ref = SoundRef(
            video_id=film.video_id,
            start_ms=start_ms,
            end_ms=end_ms,
            lineage=self.desk.footage.lineage(file),
            given="words" if hearing == "transcript" else "sound",
        )
        if ref.given == "words":
            return Heard(ref, await self._transcribed(ref, samples))
        key = f"{film.video_id}@{start_ms}-{end_ms}/{ref.lineage}"
        self._keep(ref, Audio(wav=wav(samples), key=key))
        return Heard(ref, ())

    async def _transcribed(self, ref: SoundRef, samples: Sound) -> tuple[Spoken, ...]:
        """What is said, with a record of the call. Raises EngineError."""
        shown = (ShownMessage(role="user", parts=(ShownPart(sound=ref),)),)
        name = self.desk.config.roles["transcriber"]
        call = Call(role="transcriber", model=name, messages=shown, prompt_hash=prompt_hash(shown))
        began = self.desk.clock()
        try:
            lines = await self.desk.hear(samples, ref.start_ms)
        except EngineError as error:
            seconds = self.desk.clock() - began
            self.calls.append(call.model_copy(update={"seconds": seconds, "error": str(error)}))
            raise
        said = " ".join(line.text for line in lines)
        self.calls.append(call.model_copy(update={"said": said, "seconds": self.desk.clock() - began}))
        return tuple(lines)

    def _frame(self, film: Film, one: StoredFrame, source: Source, lineage: str) -> Frame:
        with Picture.open(io.BytesIO(one.jpeg), formats=["JPEG"]) as picture:
            width, height = picture.size
        media = MediaRef(
            video_id=film.video_id,
            ts_ms=one.ts_ms,
            pts_ms=one.pts_ms,
            width=width,
            height=height,
            source=source,
            lineage=lineage,
        )
        return self._known(media, Image(jpeg=one.jpeg, key=f"{film.video_id}@{one.ts_ms}/{lineage}"))

    def _stored(self, film: Film, times_ms: Sequence[int]) -> list[StoredFrame]:
        if film.decoded_from:
            return decode_frames(film, times_ms, self.desk.config.index)
        assert self.desk.library is not None  # it gave the film
        return self.desk.library.frames(film.video_id, times_ms)

    def _known(self, media: MediaRef, image: Image) -> Frame:
        self._keep(media, image)
        return Frame(media, image)

    def _keep(self, ref: MediaRef | SoundRef, part: Image | Audio) -> None:
        self._media[ref] = part
        self._refs[part.key] = ShownPart(media=ref) if isinstance(ref, MediaRef) else ShownPart(sound=ref)

    async def search(
        self, query: str, film: Film, *, level: LevelName, start_ms: int, end_ms: int, top_k: int
    ) -> list[Hit]:
        """Hits in a film, best first. What ends after the question's limit is not found."""
        assert self.desk.library is not None and self.desk.embedder is not None  # noqa: PT018 - policies say index
        vector = await asyncio.to_thread(self.desk.embedder.embed_query, query)
        found = await asyncio.to_thread(
            self.desk.library.search,
            query,
            vector.tolist(),
            level=level,
            video_id=film.video_id,
            start_ms=start_ms,
            end_ms=end_ms,
            mode=self.settings.search_mode,
            top_k=top_k,
        )
        limit = self.question.before_ms
        return [hit for hit in found.hits if limit is None or hit.end_ms <= limit]

    # Models

    async def chat(self, role: Role, request: ChatRequest) -> Reply:
        """Ask a role's model once, and keep a record. Raises EngineError."""
        name = self.desk.config.roles[role]
        session = replace(request, session=transcript_id(self.desk, self.question), logprobs=self.settings.logprobs)
        shown = self.shown(request.messages)
        call = Call(role=role, model=name, messages=shown, prompt_hash=prompt_hash(shown))
        began = self.desk.clock()
        try:
            reply = await self.desk.engines[name].chat(session)
        except EngineError as error:
            seconds = self.desk.clock() - began
            self.calls.append(call.model_copy(update={"seconds": seconds, "error": str(error)}))
            raise
        cost = self.desk.config.cost(reply.usage, role)
        for spent in (self.spent, self.desk.spent):
            spent.add(reply.usage.prompt_tokens + reply.usage.completion_tokens, cost)
        got = {
            "said": reply.text,
            "finish_reason": reply.finish_reason,
            "usage": reply.usage,
            "retries": reply.retries,
            "seconds": self.desk.clock() - began,
            "cost": cost,
            "token_ids": reply.token_ids,
            "logprobs": reply.logprobs,
            "mean_entropy": fmean(reply.entropies) if reply.entropies else None,
            "entropy_definition": reply.entropy_definition,
        }
        self.calls.append(call.model_copy(update=got))
        return reply

    async def ask(self, role: Role, request: ChatRequest, parse: Callable[[Reply], T]) -> Asked[T]:
        """Ask until a reply parses, a few times. Raises EngineError."""
        return await ask(_Recorded(self, role), request, parse)

    def take_calls(self) -> tuple[Call, ...]:
        """The calls since the last time, which belong to whoever takes them."""
        calls, self.calls = tuple(self.calls), []
        return calls

    def limit(self) -> Limit | None:
        """The budget that has been reached, if any."""
        now = self.desk.clock()
        if reached := self.spent.reached(self.settings.budget, now):
            return reached
        return "job" if self.desk.spent.reached(self.settings.job_budget, now) else None

    # Messages, with their media and by reference

    def shown(self, messages: Sequence[Message]) -> tuple[ShownMessage, ...]:
        """Messages with their media by reference."""

        def part(one: Part) -> ShownPart:
            return ShownPart(text=one.text) if isinstance(one, Text) else self._refs[one.key]

        return tuple(ShownMessage(role=message.role, parts=tuple(map(part, message.parts()))) for message in messages)

    def real(self, messages: Sequence[ShownMessage]) -> tuple[Message, ...]:
        """The same with their media, which this scene has loaded."""

        def part(one: ShownPart) -> Part:
            ref = one.media or one.sound
            return self._media[ref] if ref else Text(text=one.text or "")

        return tuple(Message(role=one.role, content=tuple(map(part, one.parts))) for one in messages)

    def forget_all_but(self, parts: Iterable[ShownPart]) -> None:
        """Let the media go that none of these parts refers to."""
        kept = {part.media or part.sound for part in parts}
        self._media = {ref: media for ref, media in self._media.items() if ref in kept}


class _Recorded:
    """A role's engine that keeps a record of what it was asked."""

    def __init__(self, scene: Scene, role: Role) -> None:
        self._scene = scene
        self._role = role

    async def chat(self, request: ChatRequest) -> Reply:
        return await self._scene.chat(self._role, request)

    async def close(self) -> None:
        """The desk closes its engines."""
