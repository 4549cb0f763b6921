"""Traces as OpenTelemetry spans, as a collector gets them."""

import gzip
import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from loupe.agent.loop import failed
from loupe.agent.policies import POLICIES
from loupe.answering.store import AnswerRows
from loupe.answering.telemetry import Collector, open_collector
from loupe.library import Library
from tests.agent_scene import Cast, answer, ask, cues, doubt, question, search, small_library, verdict, vlm
from tests.answer_scene import answer_all, config, write_questions
from tests.faulty_endpoint import FaultyEndpoint


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return small_library(tmp_path_factory.mktemp("library"))


def sent(rows: AnswerRows) -> list[ReadableSpan]:
    """The spans of some rows, in the order of their beginnings; a parent before its children."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with Collector(provider) as collector:
        collector.send(rows.traces)
    return sorted(memory.get_finished_spans(), key=lambda span: (span.start_time, -span.end_time, span.name))


async def reviewed(library: Library) -> AnswerRows:
    """A question with a search, a look, and a critic who agrees; every call takes two seconds."""
    ticks = iter(range(0, 1000, 2))
    cast = Cast(
        library,
        reasoner=[cues(), search("a cat"), ask(times=[0, 3]), answer("A", [0])],
        vlm=[vlm("a cat")],
        critic=[doubt(), verdict(0.9)],
        critic_vlm=[vlm("a cat")],
        critic_settings={"mode": "always"},
        clock=lambda: float(next(ticks)),
    )
    return AnswerRows.of(await cast.play(question()))


def tree(spans: list[ReadableSpan]) -> dict[str, list[str]]:
    """Names of the children of every span that has some."""
    names = {span.context.span_id: span.name for span in spans}
    children: dict[str, list[str]] = {}
    for span in spans:
        if span.parent is not None:
            children.setdefault(names[span.parent.span_id], []).append(span.name)
    return {name: sorted(found) for name, found in children.items()}


async def test_a_question_is_an_agent_with_its_calls_and_tools(library: Library) -> None:
    spans = sent(await reviewed(library))
    tools = ["execute_tool answer", "execute_tool ask_vlm", "execute_tool note_cues", "execute_tool search_captions"]
    assert tree(spans) == {
        "invoke_agent retrieval_critic": [*["chat reasoner"] * 4, *tools, "invoke_agent critic"],
        "execute_tool ask_vlm": ["chat vlm"],
        "invoke_agent critic": ["chat critic", "chat critic", "chat critic_vlm"],
    }
    (agent,) = (span for span in spans if span.parent is None)
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert agent.attributes["gen_ai.conversation.id"] == "q1@r1"
    chats = [span.attributes for span in spans if span.name.startswith("chat")]
    for name in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"):
        assert agent.attributes[name] == sum(chat[name] for chat in chats) > 0
    assert [chat["gen_ai.request.model"] for chat in chats].count("reasoner") == 4
    (look,) = (span for span in spans if span.name == "execute_tool ask_vlm")
    assert look.attributes["loupe.frames"] == ("a.mp4@0", "a.mp4@3000")


async def test_spans_lie_inside_their_parents_one_after_the_other(library: Library) -> None:
    spans = sent(await reviewed(library))
    by_id = {span.context.span_id: span for span in spans}
    for span in spans:
        if span.parent is not None:
            parent = by_id[span.parent.span_id]
            assert parent.start_time <= span.start_time <= span.end_time <= parent.end_time
    chats = [span for span in spans if span.name.startswith("chat")]
    assert all(before.end_time <= after.start_time for before, after in itertools.pairwise(chats))


async def test_a_question_that_failed_is_an_error(library: Library) -> None:
    trace = failed(Cast(library).desk, POLICIES["passive"], question(), "UnavailableError: gone")
    (span,) = sent(AnswerRows.of(trace))
    assert (span.status.status_code.name, span.attributes["error.type"]) == ("ERROR", "UnavailableError")


def test_without_an_endpoint_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert open_collector().provider is None


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ExportTraceServiceRequest]]:
    """What an OTLP collector on loopback got; the environment leads to it."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield got
    server.shutdown()
    server.server_close()


def test_a_job_sends_its_spans_to_the_endpoint_of_the_environment(
    collector: list[ExportTraceServiceRequest], library: Library, tmp_path: Path
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs loupe[otel]")
    small_library(tmp_path)
    questions = write_questions(tmp_path / "q.parquet", 2)
    with FaultyEndpoint() as endpoint:
        answer_all(config(str(tmp_path / "database"), questions, str(tmp_path / "results"), url=endpoint.url))
    spans = [
        span
        for got in collector
        for one in got.resource_spans
        for in_scope in one.scope_spans
        for span in in_scope.spans
    ]
    assert [span.name for span in spans].count("invoke_agent retrieval_critic") == 2
    assert [span.name for span in spans].count("chat model") == 16
