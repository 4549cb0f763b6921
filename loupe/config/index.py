"""How films become rows."""

from typing import Literal

from pydantic import Field

from loupe.config.section import Actors, Section


class Stage(Actors):
    """One stage of the index job."""

    chunks_in_flight: int = Field(default=2, ge=1)
    """Chunks that an actor works on at a time (transcribe, describe; films: finish), or that a call takes (store)."""


class Stages(Section):
    """The stages of the index job, in the order in which a chunk passes them."""

    split: Stage = Stage(cpus=0.25, actors_max=4)
    """Films into chunks, in tasks that share processes: at most `actors_max` at a time."""
    transcribe: Stage = Stage(cpus=1, chunks_in_flight=2)
    """What is said, where a film has no subtitles; each actor opens the transcriber at the first chunk to be heard."""
    sample: Stage = Stage(cpus=1, actors_max=64)
    """Decoding: one chunk at a time and actor."""
    describe: Stage = Stage(cpus=1, chunks_in_flight=4)
    """Captions and chunk summaries; each actor holds the captioner where that is local: a GPU only where it is said."""
    store: Stage = Stage(cpus=0.5, chunks_in_flight=16)
    """Vectors and pixels; each actor has an embedder open."""
    finish: Stage = Stage(cpus=0.25, chunks_in_flight=16)
    """A film's summary and logs, once its chunks are stored. Its `actors_max` actors are opened while chunks are on
    their way, and hold their share until the job ends: a GPU only where it is said here."""


class Toytown(Section):
    """Films that the job makes itself where the library is not there yet: the demo's."""

    films: int = Field(default=3, ge=1)
    minutes: float = Field(default=5, gt=0)
    seed: int = 1


PICTURES = frozenset({"fps", "long_side", "jpeg_quality", "decoder"})
"""What decides which frames are taken, and how they look."""
OF_A_ROW = PICTURES | {
    "chunk_seconds",
    "share_captions",
    "caption_tokens",
    "summary_tokens",
    "video_summary_tokens",
    "summary_fan_in",
}
"""All of the section that decides what stands in the tables."""


class Index(Section):
    """How films become rows."""

    library: str = "data/demo/films"
    database: str = "data/demo/database"
    toytown: Toytown | None = None
    fps: float = Field(default=1.0, gt=0, le=60)
    chunk_seconds: int = Field(default=60, ge=1)
    long_side: int = Field(default=512, ge=16)
    jpeg_quality: int = Field(default=85, ge=1, le=100)
    decoder: Literal["pyav", "decord"] = "pyav"
    share_captions: bool = True
    """Let a frame take the caption of the one before where nothing in the picture has changed."""
    caption_tokens: int = Field(default=256, ge=16)
    summary_tokens: int = Field(default=256, ge=16)
    video_summary_tokens: int = Field(default=2048, ge=16)
    summary_fan_in: int = Field(default=10, ge=2)
    """Summaries that one request of the hierarchy condenses."""
    commit_chunks: int = Field(default=64, ge=1)
    commit_seconds: float = Field(default=60, gt=0)
    lease_seconds: float = Field(default=60, gt=0)
    progress_seconds: float = Field(default=30, gt=0)
    stages: Stages = Stages()
