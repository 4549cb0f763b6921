"""A row of `scores.parquet`: what became of one question, scored."""

import pyarrow as pa

SCORES = pa.schema(
    [
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("transcript_id", pa.string()),  # null where the question is missing from the answers
        pa.field("capability", pa.string()),
        pa.field("answer_type", pa.string()),
        pa.field("status", pa.string()),  # schemas.traces.Status, or missing
        pa.field("true_answer", pa.string()),  # null where nobody knows it; then score and right are null
        pa.field("answer", pa.string()),
        pa.field("answer_first", pa.string()),
        pa.field("confidence", pa.float64()),
        pa.field("score", pa.float64()),  # 0-1: loupe.scoring.answers.score; IoU for spans
        pa.field("right", pa.bool_()),
        pa.field("right_first", pa.bool_()),  # by the answer before any review
        pa.field("reviewed", pa.bool_()),  # whether the critic judged an answer
        pa.field("evidence_inside", pa.float64()),  # 0-1: share inside the true times; null where either is unknown
        pa.field("looked_inside", pa.float64()),
        pa.field("found", pa.bool_()),  # whether any frame that was looked at lies inside
        pa.field("turns", pa.int64()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("critic_tokens", pa.int64()),  # of the critic's own calls
        pa.field("review_tokens", pa.int64()),  # of the turns after an answer was sent back; null without a trace
        pa.field("frames", pa.int64()),
        pa.field("pixels", pa.int64()),
        pa.field("seconds", pa.float64()),
        pa.field("cost", pa.float64()),
    ]
)
"""`scores.parquet`: one row a question."""
