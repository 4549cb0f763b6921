"""A study's files: `points.parquet`, a measure of a point of a curve a row, and `scores.parquet`, a question a row."""

import pyarrow as pa

from schemas.scores import SCORES

POINTS = pa.schema(
    [
        pa.field("curve", pa.string(), nullable=False),  # length, budget, grounding, ablation, entropy, amortization
        pa.field("series", pa.string(), nullable=False),  # the line that the point is on
        pa.field("x", pa.float64()),  # minutes of film, turns allowed, number of the turn, questions; null without
        pa.field("measure", pa.string(), nullable=False),
        pa.field("mean", pa.float64()),  # null where nothing can be said, as `note` explains
        pa.field("low", pa.float64()),  # the interval of 95 %
        pa.field("high", pa.float64()),
        pa.field("count", pa.int64(), nullable=False),  # questions (of entropy: turns) that the mean is over
        pa.field("setting", pa.string()),  # the answer job's folder
        pa.field("note", pa.string()),
    ]
)
"""`points.parquet`."""
SETTING_SCORES = pa.schema([pa.field("setting", pa.string(), nullable=False), *SCORES])
"""`scores.parquet`: SCORES of every setting, by the setting's name."""
