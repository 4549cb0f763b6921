"""One chunk's way into the index, a function a stage. A stage takes a chunk and gives it back with more in it.

split -> (hear, in hearing.py) -> sample -> describe -> embed: jobs/index_library.py strings them together on Ray
Data; nothing here knows Ray. What has not changed since the last run is recognised here, by lineages:

- lineage: the chunk's demuxed packets and the sampler's settings; decides whether frames are decoded again;
- caption_lineage: that, the captioner and its prompt; decides whether frames are captioned again;
- sound_lineage: the demuxed packets of the chunk's sound, where its words are to be heard;
- transcript_lineage: that, the transcriber and how speech is found; decides whether it is heard again;
- summary_lineage: caption_lineage, the spoken lines (transcript_lineage where they are heard), the summarizer and its
  prompt; decides whether the summary is written again.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from loupe import storage, subtitles, timeline, transcribing
from loupe.captioning import caption_request, parse_caption
from loupe.config import OF_A_MODEL, Config, Role, digest
from loupe.embedding import Embedder
from loupe.engines.parsing import ROOM, Asked, ask, was_cut
from loupe.engines.protocol import Engine, EngineError, ParseError, RequestError
from loupe.indexing import sharing
from loupe.library import ChunkMarker, Library
from loupe.media.digest import packets_digest
from loupe.media.opening import MediaError, Source
from loupe.media.pictures import decode_jpeg, encode_jpeg
from loupe.media.probing import VideoInfo, probe
from loupe.media.sampling import SampleReport, sample_frames
from loupe.media.text_tracks import embedded_subtitles
from loupe.prompts import Prompt, load
from loupe.summarizing import chunk_summary_request, parse_chunk_summary
from loupe.weights import of_a_model
from schemas.messages import Usage
from schemas.outputs import FrameCaption

Span = tuple[float, float]
"""Start and end in seconds of the machine's clock: other machines' clocks may be a little off."""
Vector = NDArray[np.float32] | None
"""Of a text; None where there is none."""
FILM = -1
"""Chunk index of what concerns a film as a whole."""
NO_SUMMARY = ""
"""Summary lineage of a chunk whose captions are there and whose summary is not."""
CUT = "ParseError:cut"
"""Failures of captions of this class are final: the same model would cut the same captions again."""


@dataclass(frozen=True)
class Film:
    """A film to index, as it lies in the library now."""

    video_id: str
    uri: str
    etag: str
    """Of the film and of its sidecars (storage.joined_etag)."""
    size: int
    sidecars: tuple[str, ...] = ()
    trusted: bool = False
    """The object and the sampler are those of the markers: their lineages hold without reading packets again."""
    markers: tuple[ChunkMarker, ...] = field(default=(), repr=False)
    captioned: float = 0.0
    """Of its chunks, the share that need no captions, as far as the tables tell."""
    current: float = 0.0
    """Of its chunks, the share that need nothing at all."""


@dataclass(frozen=True)
class Frame:
    """A sampled frame with its pixels."""

    ts_ms: int
    pts_ms: int
    width: int
    height: int
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True)
class Captioned:
    """A sampled frame's words; `same_as_ts_ms` names the frame that it shares them with."""

    ts_ms: int
    same_as_ts_ms: int | None
    caption: FrameCaption
    vector: Vector = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class SpokenLine:
    """A line of the film's subtitles, or one that was heard."""

    index: int
    start_ms: int
    end_ms: int
    text: str
    source: str
    vector: Vector = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Failure:
    """What could not be done, at which stage, and why."""

    stage: str
    kind: str
    message: str

    @classmethod
    def of(cls, stage: str, error: Exception) -> "Failure":
        """A failure from what was raised; the errors of our own carry a finer `kind`."""
        kind = getattr(error, "kind", None)
        return cls(stage, f"{type(error).__name__}:{kind}" if kind else type(error).__name__, str(error))


@dataclass(frozen=True)
class Chunk:
    """A stretch of a film on its way into the tables.

    Its `repr` leaves out what is long: Ray Data writes it down for every row on its way from stage to stage.
    """

    film: Film
    index: int
    start_ms: int = 0
    end_ms: int = 0
    info: VideoInfo | None = None
    chunk_count: int = 0
    lines: tuple[SpokenLine, ...] = field(default=(), repr=False)
    listens: bool = False
    """The film has sound and no subtitles, and the config a transcriber."""
    lineage: str = ""
    caption_lineage: str = ""
    sound_lineage: str = ""
    transcript_lineage: str = ""
    summary_lineage: str = ""
    frames: tuple[Frame, ...] = field(default=(), repr=False)
    frames_are_new: bool = False
    damaged_packets: int = 0
    captions: tuple[Captioned, ...] = field(default=(), repr=False)
    captions_are_new: bool = False
    summary: str = ""
    summary_vector: Vector = field(default=None, repr=False, compare=False)
    unchanged: bool = False
    caption_usage: Usage = Usage()
    """What the captions cost, in this run or in the one that wrote them."""
    summary_usage: Usage = Usage()
    requests: int = 0
    heard_requests: int = 0
    """Stretches of sound that the transcriber was given in this run, and the seconds in them."""
    heard_seconds: float = 0.0
    spans: dict[str, Span] = field(default_factory=dict)
    """When each stage worked on it."""
    failures: tuple[Failure, ...] = ()
    failed: bool = False
    """Nothing of the chunk can be committed; a failure alone may concern some of its frames only."""

    @property
    def marker(self) -> ChunkMarker | None:
        """What the tables hold of this chunk from an earlier run."""
        return next((marker for marker in self.film.markers if marker.chunk_index == self.index), None)

    @property
    def is_captioned(self) -> bool:
        """Its frames were captioned, in this run or before; of those whose captions stayed cut there are none."""
        before = self.marker is not None and self.marker.caption_lineage == self.caption_lineage
        return self.captions_are_new or before

    @property
    def usage(self) -> dict[Role, Usage]:
        """What the chunk cost in this run, by the role that it was asked of."""
        captions = self.caption_usage if self.captions_are_new else Usage()
        return {"captioner": captions, "summarizer": self.summary_usage}

    def fail(self, stage: str, error: Exception) -> "Chunk":
        """The chunk as failed at a stage, without its pixels."""
        return replace(self, frames=(), failed=True, failures=(*self.failures, Failure.of(stage, error)))

    def timed(self, stage: str, started: float) -> "Chunk":
        """The chunk with the span of a stage that began at `started` (time.time) and ends now."""
        return replace(self, spans={**self.spans, stage: (started, time.time())})


@dataclass(frozen=True)
class Settings:
    """What the stages need of a config, with the hashes that go into lineages."""

    config: Config
    caption_prompt: Prompt
    summary_prompt: Prompt
    video_prompt: Prompt
    sampler: str
    captioner: str
    summarizer: str
    film_summarizer: str
    transcriber: str = ""
    """Empty where the config has none."""

    def caption_lineage(self, lineage: str) -> str:
        """Lineage of the captions of frames with this lineage."""
        return digest(lineage, self.captioner)

    def transcript_lineage(self, sound_lineage: str) -> str:
        """Lineage of what is heard in sound with this lineage."""
        return digest(sound_lineage, self.transcriber)

    def summary_lineage(self, caption_lineage: str, lines: Sequence[SpokenLine], transcript_lineage: str = "") -> str:
        """Lineage of the summary of captions with this lineage and these lines, or of lines heard with this one."""
        words = transcript_lineage or [(line.start_ms, line.text) for line in lines]
        return digest(caption_lineage, self.summarizer, words)


def settings(config: Config) -> Settings:
    """The stages' settings, made once a job. A model's speed and price are no part of what it makes, nor of its hash.

    Raises ConfigError where a model's package is not installed.
    """
    index = config.index
    captions, summaries = load(config.prompts, "caption"), load(config.prompts, "chunk_summary")
    weights = OF_A_MODEL - {"engine"}  # the same weights are the same model, whatever runs them
    captioner = of_a_model(config.chat_model("captioner"), weights)
    summarizer = of_a_model(config.chat_model("summarizer"), weights)
    hears = config.speech_model()
    transcriber = of_a_model(hears, OF_A_MODEL) if hears else None
    video_prompt = load(config.prompts, "video_summary")
    chunk_summarizer = digest(summarizer, summaries.hash, index.summary_tokens)
    return Settings(
        config=config,
        caption_prompt=captions,
        summary_prompt=summaries,
        video_prompt=video_prompt,
        sampler=digest(index.fps, index.chunk_seconds, index.long_side, index.jpeg_quality, index.decoder),
        captioner=digest(captioner, captions.hash, index.caption_tokens, index.share_captions),
        summarizer=chunk_summarizer,
        film_summarizer=digest(chunk_summarizer, video_prompt.hash, index.video_summary_tokens, index.summary_fan_in),
        transcriber=digest(transcriber, transcribing.CHOSEN_BY) if transcriber else "",
    )


def split(film: Film, settings: Settings) -> list[Chunk]:
    """One film -> its chunks, those left out whose tables already hold what this config would write.

    Raises MediaError or storage.StorageError where the film cannot be opened.
    """
    started = time.time()
    with storage.open_seekable(film.uri) as file:
        info = probe(file)
        spoken = _lines(film, file)
    parts = timeline.chunks(info.duration_ms, settings.config.index.chunk_seconds)
    chunks = [
        Chunk(
            film=film,
            index=part.index,
            start_ms=part.start_ms,
            end_ms=part.end_ms,
            info=info,
            chunk_count=len(parts),
            lines=tuple(line for line in spoken if part.start_ms <= line.start_ms < part.end_ms),
            listens=bool(settings.transcriber) and info.has_audio and not film.sidecars and not spoken,
        ).timed("split", started)
        for part in parts
    ]
    return [chunk for chunk in chunks if not (film.trusted and _is_current(chunk, settings))]


def _is_current(chunk: Chunk, settings: Settings) -> bool:
    marker = chunk.marker
    if marker is None:
        return False
    caption_lineage = settings.caption_lineage(marker.lineage)
    heard = settings.transcript_lineage(marker.sound_lineage) if chunk.listens else ""
    return (
        marker.caption_lineage == caption_lineage
        and marker.summary_lineage == settings.summary_lineage(caption_lineage, chunk.lines, heard)
        and (marker.start_ms, marker.end_ms) == (chunk.start_ms, chunk.end_ms)
    )


def _lines(film: Film, file: Source) -> list[SpokenLine]:
    """Sidecars first; the film's own text tracks where there are none."""
    found: list[tuple[str, subtitles.Line]] = []
    for uri in film.sidecars:
        name = PurePosixPath(uri).name
        found += [(f"sidecar:{name}", line) for line in subtitles.parse(storage.read_bytes(uri))]
    if not film.sidecars:
        found += [(f"track:{line.track}", line) for line in embedded_subtitles(file)]
    found.sort(key=lambda item: (item[1].start_ms, item[1].end_ms))
    return [
        SpokenLine(index, line.start_ms, line.end_ms, line.text, source) for index, (source, line) in enumerate(found)
    ]


def sample(chunk: Chunk, settings: Settings, library: Library) -> Chunk:
    """Add the chunk's frames, or what the tables already hold of it.

    Raises MediaError where not one frame can be decoded.
    """
    started = time.time()
    marker = chunk.marker
    if chunk.film.trusted and marker is not None:
        lineage = marker.lineage
    else:
        with storage.open_seekable(chunk.film.uri) as file:
            lineage = digest(packets_digest(file, chunk.start_ms, chunk.end_ms), settings.sampler)
    caption_lineage = settings.caption_lineage(lineage)
    chunk = replace(
        chunk,
        lineage=lineage,
        caption_lineage=caption_lineage,
        summary_lineage=settings.summary_lineage(caption_lineage, chunk.lines, chunk.transcript_lineage),
    )
    if marker is None or marker.lineage != lineage:
        return _decode(chunk, settings).timed("sample", started)
    chunk = replace(chunk, damaged_packets=marker.damaged_packets)
    if marker.caption_lineage != caption_lineage:
        return replace(chunk, frames=_stored_frames(chunk, library)).timed("sample", started)
    chunk = replace(chunk, failures=(*chunk.failures, *_cut_before(chunk, library)))
    if marker.summary_lineage != chunk.summary_lineage:
        cost = Usage(prompt_tokens=marker.caption_prompt_tokens, completion_tokens=marker.caption_completion_tokens)
        chunk = replace(chunk, captions=_stored_captions(chunk, library), caption_usage=cost)
    else:
        chunk = replace(chunk, unchanged=True)
    return chunk.timed("sample", started)


def _decode(chunk: Chunk, settings: Settings) -> Chunk:
    index = settings.config.index
    times = timeline.grid(chunk.start_ms, chunk.end_ms, index.fps)
    report = SampleReport()
    frames = []
    with storage.open_seekable(chunk.film.uri) as file:
        sampled = sample_frames(file, times, long_side=index.long_side, decoder=index.decoder, report=report)
        for frame in sampled:
            height, width = frame.rgb.shape[:2]
            jpeg = encode_jpeg(frame.rgb, quality=index.jpeg_quality)
            frames.append(Frame(frame.ts_ms, frame.pts_ms, width, height, jpeg))
    if not frames:
        raise MediaError("truncated", f"no frame could be decoded from {chunk.start_ms} to {chunk.end_ms} ms")
    return replace(
        chunk,
        frames=tuple(frames),
        frames_are_new=True,
        damaged_packets=report.damaged_packets,
    )


def _stored_frames(chunk: Chunk, library: Library) -> tuple[Frame, ...]:
    rows = library.chunk_frames(chunk.film.video_id, chunk.index)
    return tuple(Frame(row["ts_ms"], row["pts_ms"], row["width"], row["height"], row["jpeg"]) for row in rows)


def _stored_captions(chunk: Chunk, library: Library) -> tuple[Captioned, ...]:
    names = FrameCaption.model_fields
    return tuple(
        Captioned(row["ts_ms"], row["same_as_ts_ms"], FrameCaption(**{name: row[name] for name in names}))
        for row in library.chunk_captions(chunk.film.video_id, chunk.index)
    )


def _cut_before(chunk: Chunk, library: Library) -> list[Failure]:
    """That captions of the chunk were cut stays true as long as its other captions do."""
    return [
        Failure(row["stage"], row["class"], row["message"])
        for row in library.failures(chunk.film.video_id)
        if (row["chunk_index"], row["stage"], row["class"]) == (chunk.index, "caption", CUT)
    ]


async def describe(chunk: Chunk, settings: Settings, captioner: Engine, summarizer: Engine) -> Chunk:
    """Add a caption a frame and the chunk's summary; both only where they are not there yet.

    A frame whose caption does not parse, or is refused, is left out, with one failure for the chunk's lot of them. A
    summary that fails leaves the captions: the next run writes it alone. A chunk all of whose captions stayed cut is
    summarized from its spoken lines; without any it has no summary. Raises EngineError where the captioner cannot be
    reached: then the whole chunk is left for the next run.
    """
    if chunk.unchanged or chunk.failed:
        return chunk
    if not chunk.is_captioned:
        chunk = await caption_frames(chunk, settings, captioner)
    if chunk.failed or not (chunk.captions or chunk.lines):
        return chunk
    try:
        return await summarize_chunk(chunk, settings, summarizer)
    except (EngineError, ParseError) as error:
        failure = Failure.of("summarize", error)
        return replace(chunk, summary_lineage=NO_SUMMARY, failures=(*chunk.failures, failure))


def shares(chunk: Chunk, settings: Settings) -> list[int | None]:
    """For each frame the position of the frame whose caption it takes, None for its own."""
    if not settings.config.index.share_captions:
        return [None] * len(chunk.frames)
    return sharing.share([decode_jpeg(frame.jpeg) for frame in chunk.frames])


async def caption_frames(chunk: Chunk, settings: Settings, captioner: Engine) -> Chunk:
    """Add the captions: all frames that need one are asked for at once, the engine queues or batches them."""
    started = time.time()
    shared = await asyncio.to_thread(shares, chunk, settings)
    own = [position for position, source in enumerate(shared) if source is None]
    asked = await asyncio.gather(*(_caption(chunk.frames[position].jpeg, settings, captioner) for position in own))
    return with_captions(chunk, shared, dict(zip(own, asked, strict=True))).timed("caption", started)


async def _caption(jpeg: bytes, settings: Settings, captioner: Engine) -> Asked[FrameCaption]:
    request = caption_request(jpeg, settings.caption_prompt, max_tokens=settings.config.index.caption_tokens)
    try:
        return await ask(captioner, request, parse_caption, room=ROOM)
    except RequestError as error:
        return Asked(None, Usage(), 1, error)


def with_captions(chunk: Chunk, shared: Sequence[int | None], asked: Mapping[int, Asked[FrameCaption]]) -> Chunk:
    """The chunk with what was asked, by frame position; a frame shares what its source has, if that has anything.

    Without a single caption it has failed, unless all of them were cut: then it goes on without.
    """
    rows = []
    for position, frame in enumerate(chunk.frames):
        source = shared[position]
        caption = asked[position if source is None else source].value
        if caption is not None:
            rows.append(Captioned(frame.ts_ms, None if source is None else chunk.frames[source].ts_ms, caption))
    errors = [answer.error for answer in asked.values() if answer.error is not None]
    all_cut = bool(errors) and all(was_cut(error) for error in errors)
    failed = not rows and not all_cut
    failures = chunk.failures
    if errors:
        first = f"{len(errors)} of {len(asked)} frames; first: {errors[0]}"
        failures += (Failure("caption", CUT if all_cut else type(errors[0]).__name__, first),)
    return replace(
        chunk,
        frames=() if failed else chunk.frames,
        failed=failed,
        captions=tuple(rows),
        captions_are_new=True,
        caption_usage=sum((answer.usage for answer in asked.values()), Usage()),
        requests=chunk.requests + sum(answer.requests for answer in asked.values()),
        failures=failures,
    )


async def summarize_chunk(chunk: Chunk, settings: Settings, summarizer: Engine) -> Chunk:
    """Add the chunk's summary, from the captions that frames have of their own and the spoken lines.

    Raises ParseError, EngineError.
    """
    started = time.time()
    captions = [(row.ts_ms / 1000, row.caption) for row in chunk.captions if row.same_as_ts_ms is None]
    lines = [(line.start_ms / 1000, line.text) for line in chunk.lines]
    tokens = settings.config.index.summary_tokens
    request = chunk_summary_request(captions, lines, settings.summary_prompt, max_tokens=tokens)
    asked = await ask(summarizer, request, parse_chunk_summary, room=ROOM)
    if asked.value is None:
        assert asked.error is not None
        raise asked.error
    return replace(
        chunk,
        summary=asked.value.summary,
        summary_usage=asked.usage,
        requests=chunk.requests + asked.requests,
    ).timed("summarize", started)


def embed(chunks: Sequence[Chunk], embedder: Embedder) -> list[Chunk]:
    """Add a unit vector to every caption, line and summary; all texts of all chunks in one call, each text once."""
    started = time.time()
    texts = {row.caption.searchable_text() for chunk in chunks for row in chunk.captions}
    texts |= {line.text for chunk in chunks for line in chunk.lines}
    texts |= {chunk.summary for chunk in chunks if chunk.summary}
    ordered = sorted(texts)
    vectors = dict(zip(ordered, embedder.embed(ordered), strict=True))
    each = (time.time() - started) / max(len(chunks), 1)  # a chunk's part of the call
    return [
        replace(
            chunk,
            captions=tuple(replace(row, vector=vectors[row.caption.searchable_text()]) for row in chunk.captions),
            lines=tuple(replace(line, vector=vectors[line.text]) for line in chunk.lines),
            summary_vector=vectors.get(chunk.summary),
            spans={**chunk.spans, "embed": (started + number * each, started + (number + 1) * each)},
        )
        for number, chunk in enumerate(chunks)
    ]
