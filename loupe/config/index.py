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
    """How many."""
    minutes: float = Field(default=5, gt=0)
    """How long each is."""
    seed: int = 1
    """What they are drawn from."""


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
    """Folder or s3://bucket/prefix of the films, where the command line names none."""
    database: str = "data/demo/database"
    """Folder or s3://bucket/prefix of the tables, where the command line names none."""
    toytown: Toytown | None = None
    """Films that the job makes itself where the library is not there yet."""
    fps: float = Field(default=1.0, gt=0, le=60)
    """Frames a second that are captioned."""
    chunk_seconds: int = Field(default=60, ge=1)
    """Length of a chunk: the work of one row, and what is done again after a kill."""
    long_side: int = Field(default=512, ge=16)
    """Pixels of a frame's longer side; smaller films keep theirs."""
    jpeg_quality: int = Field(default=85, ge=1, le=100)
    """Of the frames in the table."""
    decoder: Literal["pyav", "decord"] = "pyav"
    """What decodes films."""
    share_captions: bool = True
    """Let a frame take the caption of the one before where nothing in the picture has changed."""
    caption_tokens: int = Field(default=768, ge=16)
    """Tokens of a caption, at most; twice as many where it was cut. A slide of a hundred words takes more than 300."""
    summary_tokens: int = Field(default=256, ge=16)
    """Tokens of a chunk's summary, at most; twice as many where it was cut."""
    video_summary_tokens: int = Field(default=2048, ge=16)
    """Tokens of a film's summary and logs, at most."""
    summary_fan_in: int = Field(default=10, ge=2)
    """Summaries that one request of the hierarchy condenses."""
    commit_chunks: int = Field(default=64, ge=1)
    """Chunks of a commit, about; fewer where `commit_seconds` have passed."""
    commit_seconds: float = Field(default=60, gt=0)
    """Between two commits, at most: a job that dies loses so much."""
    lease_seconds: float = Field(default=60, gt=0)
    """After which a job that died is taken for dead, and another may go on."""
    progress_seconds: float = Field(default=30, gt=0)
    """Between two lines about how far the job is."""
    stages: Stages = Stages()
    """What each stage may take of a cluster: see indexing.md."""
