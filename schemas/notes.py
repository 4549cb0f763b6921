"""The table `notes` of a database: what agents noted while they answered questions. It needs no other table."""

import pyarrow as pa

from schemas.tables import key

NOTES = pa.schema(
    [
        key("video_id", pa.string()),
        key("transcript_id", pa.string()),  # the rollout: its trace has all the rest
        key("turn", pa.int64()),  # the turn whose percept it is about
        pa.field("question", pa.string()),
        pa.field("tool", pa.string()),  # look, listen, watch, ask_vlm
        pa.field("start_ms", pa.int64()),  # of what was looked at or listened to
        pa.field("end_ms", pa.int64()),
        pa.field("text", pa.string()),
        pa.field("lineage", pa.string()),  # of the frames or the sound
    ]
)
"""One row a note."""
