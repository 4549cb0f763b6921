"""Traces as spans of OpenTelemetry, by its conventions for generative AI, where the environment names a collector.

    invoke_agent (a question) -> chat (a turn), execute_tool (its action) -> chat (a model that the tool asks)
                              -> invoke_agent critic -> chat

They are made from a trace that has ended, one call after the other: the times between them, of searching and of
waiting for a place, lie at the end. Frames are named by film and time. No text of a question or a model goes out.
Conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/ (in development; names as of 1.41).
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from loupe.config import ConfigError
from schemas.traces import Call, Trace, TurnRecord

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROVIDER = "loupe"
"""gen_ai.provider.name: the names of models are those of the config."""
Value = str | int | float | Sequence[str]


@dataclass(frozen=True)
class Span:
    """A span to be: times in seconds from the beginning of its trace."""

    name: str
    kind: Literal["INTERNAL", "CLIENT"]
    start: float
    end: float
    attributes: dict[str, Value]
    children: tuple["Span", ...] = ()
    error: str | None = None


def span_of(trace: Trace) -> Span:
    """A question's span, with all that happened in it."""
    at, children = 0.0, []
    verdicts = {verdict.round: verdict for verdict in trace.verdicts}
    for number, turn in enumerate(trace.turns):
        made = _turn(turn, at)
        children += made
        at = made[-1].end
        ends_round = number + 1 == len(trace.turns) or trace.turns[number + 1].round != turn.round
        if ends_round and (verdict := verdicts.get(turn.round)):
            children.append(_around("invoke_agent critic", at, verdict.calls, _agent("critic", trace)))
            at = children[-1].end
    calls = list(trace.calls())
    told = _agent(trace.policy, trace) | _usage(calls) | {"loupe.status": trace.status}
    return Span(
        name=f"invoke_agent {trace.policy}",
        kind="INTERNAL",
        start=0.0,
        end=max(at, trace.seconds),
        attributes=told,
        children=tuple(children),
        error=trace.error if trace.status == "failed" else None,
    )


def _turn(turn: TurnRecord, at: float) -> list[Span]:
    """The call of a turn, and its action."""
    said = _chat(turn.call, at)
    if turn.tool is None:
        return [said]
    told: dict[str, Value] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": turn.tool,
        "gen_ai.tool.type": "function",
        "loupe.frames": [f"{media.video_id}@{media.ts_ms}" for media in turn.media],
    }
    refused = "ToolError" if turn.is_error else None
    return [said, _around(f"execute_tool {turn.tool}", said.end, turn.calls, told, refused)]


def _around(name: str, at: float, calls: Iterable[Call], told: dict[str, Value], error: str | None = None) -> Span:
    """A span around calls."""
    children: list[Span] = []
    for call in calls:
        children.append(_chat(call, children[-1].end if children else at))
    return Span(name, "INTERNAL", at, children[-1].end if children else at, told, tuple(children), error)


def _chat(call: Call, at: float) -> Span:
    told: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": call.model,
        "gen_ai.response.finish_reasons": [call.finish_reason] if call.finish_reason else [],
        "loupe.role": call.role,
        "loupe.frames": call.usage.images,
        "loupe.retries": call.retries,
    }
    return Span(f"chat {call.model}", "CLIENT", at, at + call.seconds, told | _usage([call]), error=call.error)


def _agent(name: str, trace: Trace) -> dict[str, Value]:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.agent.name": name,
        "gen_ai.agent.version": trace.config_hash,
        "gen_ai.conversation.id": trace.transcript_id,
    }


def _usage(calls: Iterable[Call]) -> dict[str, Value]:
    made = list(calls)
    return {
        "gen_ai.usage.input_tokens": sum(call.usage.prompt_tokens for call in made),
        "gen_ai.usage.output_tokens": sum(call.usage.completion_tokens for call in made),
    }


@dataclass
class Collector(AbstractContextManager["Collector"]):
    """Where spans go: nowhere without a tracer provider."""

    provider: Any = None
    _tracer: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.provider is not None:
            self._tracer = self.provider.get_tracer("loupe")

    def send(self, traces: pa.Table) -> None:
        """Send the spans of rows of `TRACES`."""
        if self.provider is not None:
            for row in traces.to_pylist():
                trace = Trace.from_row(row)
                self._emit(span_of(trace), datetime.fromisoformat(trace.date).timestamp(), None)

    def __exit__(self, *_: object) -> None:
        if self.provider is not None:
            self.provider.shutdown()  # sends what waits

    def _emit(self, span: Span, began: float, context: Any) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        sent = self._tracer.start_span(
            span.name,
            context=context,
            kind=SpanKind[span.kind],
            attributes=span.attributes,
            start_time=int((began + span.start) * 1e9),
        )
        if span.error is not None:
            sent.set_attribute("error.type", span.error.partition(":")[0])
            sent.set_status(Status(StatusCode.ERROR))
        for child in span.children:
            self._emit(child, began, set_span_in_context(sent))
        sent.end(int((began + span.end) * 1e9))


def open_collector() -> Collector:
    """The collector that the environment names, or one that takes nothing.

    Raises ConfigError where it names one and the packages for it are not installed.
    """
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return Collector()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(f"{' or '.join(ENDPOINTS)} is set: spans need `pip install loupe[otel]` ({error})") from error
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Collector(provider)
