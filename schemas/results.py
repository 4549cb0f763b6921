"""A row of `answers/`: what was answered, on what evidence, and what it cost. It follows from the trace."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from schemas import traces
from schemas.traces import EVIDENCE, PROMPT, ROLE_MODEL, Call, Trace, string

SPENT = pa.struct(
    [
        string("role"),
        string("model"),
        pa.field("calls", pa.int32()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("frames", pa.int64()),
        pa.field("pixels", pa.int64()),
        pa.field("retries", pa.int32()),
        pa.field("seconds", pa.float64()),
        pa.field("cost", pa.float64()),
    ]
)
"""What one role cost; `seconds` are those of its calls, which may have waited for each other."""
VERDICT = pa.struct([field for field in traces.VERDICT if field.name not in ("media", "calls")])
"""A verdict without what led to it, which stands in the trace."""
ANSWERS = pa.schema(
    [
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("transcript_id", pa.string(), nullable=False),
        string("run"),
        pa.field("videos", pa.list_(pa.string())),  # the films that were read
        pa.field("routed", pa.bool_()),  # whether a search chose them
        string("asked"),  # schemas.questions.Question.asked_hash
        string("question"),
        string("answer_type"),
        string("answer_said"),
        string("answer"),  # normalized, see schemas.traces.Trace.answer; null where there is none
        pa.field("confidence", pa.float64()),
        string("status"),  # schemas.traces.Status
        string("limit"),  # schemas.traces.Limit: what forced the answer; null where nothing did
        string("answer_first"),  # the answer before any review: what there would be without the critic
        pa.field("confidence_first", pa.float64()),
        pa.field("evidence", pa.list_(EVIDENCE)),
        pa.field("verdicts", pa.list_(VERDICT)),
        pa.field("turns", pa.int32()),
        pa.field("spent", pa.list_(SPENT)),  # by role
        pa.field("calls", pa.int32()),  # sums over the roles from here on
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("critic_tokens", pa.int64()),  # of these: prompt and completion of the critic's own calls
        pa.field("frames", pa.int64()),
        pa.field("pixels", pa.int64()),
        pa.field("retries", pa.int32()),
        pa.field("cost", pa.float64()),
        pa.field("seconds", pa.float64()),  # from when its films were opened to the end
        string("policy"),
        string("config_hash"),
        pa.field("prompts", pa.list_(PROMPT)),
        pa.field("models", pa.list_(ROLE_MODEL)),
        pa.field("trace_version", pa.int32()),
        string("date"),
        string("error"),
    ]
)
"""`answers/`: one row a question."""


def answer_row(trace: Trace) -> dict[str, Any]:
    """The row of `ANSWERS` that a trace gives."""
    calls = list(trace.calls())
    roles = dict.fromkeys((call.role, call.model) for call in calls)
    critic = [call for verdict in trace.verdicts for call in verdict.calls]
    first = trace.verdicts[0] if trace.verdicts else None
    row = trace.model_dump(include=set(ANSWERS.names) & set(Trace.model_fields)) | {
        "verdicts": [verdict.model_dump(include={field.name for field in VERDICT}) for verdict in trace.verdicts],
        "turns": len(trace.turns),
        "answer_first": first.answer_before if first else trace.answer,
        "confidence_first": first.confidence_before if first else trace.confidence,
        "spent": [
            {"role": role, "model": model, **spent(c for c in calls if (c.role, c.model) == (role, model))}
            for role, model in roles
        ],
        "critic_tokens": sum(call.usage.prompt_tokens + call.usage.completion_tokens for call in critic),
    }
    return row | spent(calls) | {"seconds": trace.seconds}


def spent(calls: Iterable[Call]) -> dict[str, Any]:
    """What some calls cost together."""
    made = list(calls)
    return {
        "calls": len(made),
        "prompt_tokens": sum(call.usage.prompt_tokens for call in made),
        "completion_tokens": sum(call.usage.completion_tokens for call in made),
        "frames": sum(call.usage.images for call in made),
        "pixels": sum(call.usage.pixels for call in made),
        "retries": sum(call.retries for call in made),
        "seconds": sum(call.seconds for call in made),
        "cost": sum(call.cost for call in made),
    }
