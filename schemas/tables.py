"""The pyarrow schema and the key of every LanceDB table.

Times in keys are integer milliseconds from the film's first frame; seconds as float stand only where a
model or a person reads them. Key columns are strings or integers and are marked as Lance's unenforced
primary key: without the mark, concurrent upserts of new keys insert them twice.
"""

import pyarrow as pa

PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}


def key(name: str, type_: pa.DataType) -> pa.Field:
    """A column of the table's key."""
    return pa.field(name, type_, nullable=False, metadata=PRIMARY_KEY)


def vector(dimensions: int) -> pa.Field:
    """Unit-length embedding of the row's text; null until the row has text."""
    return pa.field("vector", pa.list_(pa.float32(), dimensions))


def key_columns(schema: pa.Schema) -> list[str]:
    """Names of the columns that make a row unique."""
    return [field.name for field in schema if (field.metadata or {}).get(b"lance-schema:unenforced-primary-key")]


LOG = pa.list_(pa.struct([("start_ms", pa.int64()), ("end_ms", pa.int64()), ("text", pa.string())]))
"""A log of a film: lines with times."""


def videos(dimensions: int) -> pa.Schema:
    """One row a film: what it is, its global summary and logs; `status` is written last."""
    return pa.schema(
        [
            key("video_id", pa.string()),  # path below the library's root
            pa.field("uri", pa.string()),
            pa.field("etag", pa.string()),  # of the film, a space, those of its sidecars
            pa.field("size", pa.int64()),
            pa.field("status", pa.string()),  # indexing | replacing | complete
            pa.field("duration_ms", pa.int64()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("fps", pa.float64()),
            pa.field("codec", pa.string()),
            pa.field("has_audio", pa.bool_()),
            pa.field("chunk_count", pa.int32()),
            pa.field("sampler", pa.string()),  # hash of the sampler's settings
            pa.field("captioner", pa.string()),  # hash of model, prompt and sharing
            pa.field("summarizer", pa.string()),  # hash of model and prompts
            pa.field("transcriber", pa.string()),  # hash of the model; empty where the config has none
            pa.field("lineage", pa.string()),  # hash of the chunks' summary lineages and of the summarizer
            pa.field("summary", pa.string()),
            pa.field("characters", LOG),
            pa.field("events", LOG),
            pa.field("scenes", LOG),
            pa.field("indexed_at", pa.timestamp("us", tz="UTC")),
            vector(dimensions),
        ]
    )


def chunks(dimensions: int) -> pa.Schema:
    """One row a chunk; its presence is the marker that the chunk's frames and captions are whole."""
    return pa.schema(
        [
            key("video_id", pa.string()),
            key("chunk_index", pa.int64()),
            pa.field("start_ms", pa.int64()),
            pa.field("end_ms", pa.int64()),
            pa.field("lineage", pa.string()),  # hash of the demuxed packets and the sampler
            pa.field("caption_lineage", pa.string()),  # lineage + model + prompt
            pa.field("sound_lineage", pa.string()),  # hash of the demuxed sound; empty where nobody listens
            pa.field("transcript_lineage", pa.string()),  # sound_lineage + transcriber
            pa.field("summary_lineage", pa.string()),  # caption_lineage + spoken lines + model + prompt
            pa.field("frame_count", pa.int32()),
            pa.field("shared_count", pa.int32()),  # frames that took the caption of another
            pa.field("damaged_packets", pa.int32()),
            pa.field("prompt_tokens", pa.int64()),  # of the captions and the summary that stand here
            pa.field("completion_tokens", pa.int64()),
            pa.field("caption_prompt_tokens", pa.int64()),  # of the captions alone: these stay with a new summary
            pa.field("caption_completion_tokens", pa.int64()),
            pa.field("summary", pa.string()),
            vector(dimensions),
        ]
    )


def frames() -> pa.Schema:
    """One row a sampled frame: pixels only. Append-only; stale rows go when their chunk is replaced."""
    return pa.schema(
        [
            key("video_id", pa.string()),
            key("ts_ms", pa.int64()),  # the time that was asked for, on the sampler's grid
            pa.field("chunk_index", pa.int64()),
            pa.field("pts_ms", pa.int64()),  # the time of the frame that was on screen then
            pa.field("lineage", pa.string()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("jpeg", pa.binary(), nullable=False),
        ]
    )


def captions(dimensions: int) -> pa.Schema:
    """One row a sampled frame: words and their vector, apart from the pixels so that both can be redone alone."""
    return pa.schema(
        [
            key("video_id", pa.string()),
            key("ts_ms", pa.int64()),
            pa.field("chunk_index", pa.int64()),
            pa.field("caption_lineage", pa.string()),
            pa.field("same_as_ts_ms", pa.int64()),  # the frame whose caption this one shares; null if its own
            pa.field("caption", pa.string()),
            pa.field("subjects", pa.list_(pa.string())),
            pa.field("actions", pa.list_(pa.string())),
            pa.field("place", pa.string()),
            pa.field("objects", pa.list_(pa.string())),
            pa.field("on_screen_text", pa.list_(pa.string())),
            pa.field("text", pa.string()),  # FrameCaption.searchable_text()
            vector(dimensions),
        ]
    )


def transcripts(dimensions: int) -> pa.Schema:
    """One row a spoken or written line."""
    return pa.schema(
        [
            key("video_id", pa.string()),
            # the chunk with which the line is replaced: it starts there or, if heard, up to 8 s after its end
            key("chunk_index", pa.int64()),
            key("line_index", pa.int64()),
            pa.field("start_ms", pa.int64()),
            pa.field("end_ms", pa.int64()),
            pa.field("text", pa.string()),
            pa.field("source", pa.string()),  # sidecar:<name> | track:<index> | heard:<model>
            pa.field("lineage", pa.string()),  # the chunk's summary_lineage
            vector(dimensions),
        ]
    )


def failures() -> pa.Schema:
    """One row a thing that could not be done: what was not indexed, and why."""
    return pa.schema(
        [
            key("video_id", pa.string()),
            key("chunk_index", pa.int64()),  # -1: the film as a whole
            key("stage", pa.string()),  # probe | transcribe | sample | caption | summarize | describe | store | finish
            pa.field("class", pa.string()),
            pa.field("message", pa.string()),
            pa.field("uri", pa.string()),
            pa.field("etag", pa.string()),
            pa.field("failed_at", pa.timestamp("us", tz="UTC")),
        ]
    )


def all_tables(dimensions: int) -> dict[str, pa.Schema]:
    """Every table by name, for a given embedding size."""
    return {
        "videos": videos(dimensions),
        "chunks": chunks(dimensions),
        "frames": frames(),
        "captions": captions(dimensions),
        "transcripts": transcripts(dimensions),
        "failures": failures(),
    }
