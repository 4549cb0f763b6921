"""The front of served models, without Ray: the official client against engines that answer by a script."""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import numpy as np
import openai
import pytest

from loupe.embedding import HashingEmbedder, Vectors
from loupe.engines.openai import OpenAIEngine
from loupe.engines.protocol import ChatRequest, EngineError, Reply, RequestError, UnavailableError
from loupe.engines.scripted import ScriptedEngine, digest
from loupe.engines.speech import RATE
from loupe.engines.waves import wav
from schemas.messages import Audio, Image, Message, Text, Usage
from serving.errors import ApiError
from serving.guarding import check_caller
from tests.pictures import picture
from tests.serving_front import client, front, post, voices

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"place": {"enum": ["harbour"]}}, "required": ["place"]}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}


def data_url(image: Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(image.jpeg).decode()


def shown(*urls: str) -> list[Any]:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": "look"}, *pictures]}]


def played(*sounds: bytes, form: str = "wav") -> list[Any]:
    told = [{"data": base64.b64encode(sound).decode(), "format": form} for sound in sounds]
    parts = [{"type": "input_audio", "input_audio": each} for each in told]
    return [{"role": "user", "content": [{"type": "text", "text": "listen"}, *parts]}]


SECOND = wav(np.zeros(RATE, np.float32))


class Words:
    """An embedder as the front wants one."""

    async def embed(self, texts: list[str]) -> Vectors:
        return HashingEmbedder(8).embed(texts)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A front with the scripted rule `digest` and an embedder."""
    limits = {"images": 2, "pixels": 48 * 32, "sound_seconds": 1.5, "body_bytes": 100_000}
    with front(voices(embedder=Words()), **limits) as address:
        yield address


def test_a_chat_with_pictures_and_a_schema_reaches_the_engine_whole() -> None:
    engine = ScriptedEngine(['{"place":"harbour"}'])
    one, two = picture(1), picture(2)
    with front(voices(engine)) as url:
        messages: list[Any] = [{"role": "developer", "content": "be short"}, *shown(data_url(one), data_url(two))]
        completion = client(url).chat.completions.create(
            model="tiny",
            messages=messages,
            response_format=FORMAT,
            max_completion_tokens=77,
            temperature=0.5,
            extra_headers={"x-session-id": "question-7"},
        )
    assert completion.choices[0].message.content == '{"place":"harbour"}'
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0
    request = engine.requests[0]
    assert [message.role for message in request.messages] == ["system", "user"]
    assert (request.schema, request.max_tokens, request.temperature) == (SCHEMA, 77, 0.5)
    assert request.session == "question-7"
    _, first, second = request.messages[1].parts()
    assert (first.jpeg, second.jpeg) == (one.jpeg, two.jpeg)
    assert first.key != second.key


def test_a_sound_reaches_the_engine_as_it_was_sent() -> None:
    engine, said = ScriptedEngine(["a bell"]), wav(np.sin(np.arange(RATE, dtype=np.float32)))
    with front(voices(engine)) as url:
        completion = client(url).chat.completions.create(model="tiny", messages=played(said))
    assert completion.choices[0].message.content == "a bell"
    _, sound = engine.requests[0].messages[0].parts()
    assert isinstance(sound, Audio)
    assert sound.wav == said


def test_log_probabilities_and_token_ids() -> None:
    reply = Reply("ab", Usage(), "length", (7, 8), (-0.5, -0.25), ("a", "b"))
    with front(voices(ScriptedEngine(lambda request: reply))) as url:
        choice = (
            client(url)
            .chat.completions.create(model="tiny", messages=HELLO, logprobs=True, extra_body={"return_token_ids": True})
            .choices[0]
        )
    assert choice.logprobs is not None
    assert [(token.token, token.logprob) for token in choice.logprobs.content or ()] == [("a", -0.5), ("b", -0.25)]
    assert (choice.model_extra or {})["token_ids"] == [7, 8]
    assert choice.finish_reason == "length"


def test_as_many_likeliest_tokens_as_are_asked_for() -> None:
    def reply(request: ChatRequest) -> Reply:
        told = ((("a", -0.5), ("b", -1.0), ("c", -3.0))[: request.likeliest],)
        return Reply("a", Usage(), "stop", logprobs=(-0.5,), tokens=("a",), likeliest=told)

    with front(voices(ScriptedEngine(reply))) as url:
        ask = client(url).chat.completions.create
        choice = ask(model="tiny", messages=HELLO, logprobs=True, top_logprobs=2).choices[0]
        with pytest.raises(openai.BadRequestError, match="top_logprobs"):
            ask(model="tiny", messages=HELLO, logprobs=True, top_logprobs=21)
    assert choice.logprobs is not None
    (token,) = choice.logprobs.content or ()
    assert [(one.token, one.logprob) for one in token.top_logprobs] == [("a", -0.5), ("b", -1.0)]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_stream_says_what_the_whole_reply_says(url: str, wanted: bool) -> None:
    options = openai.omit if not wanted else {"include_usage": True}
    ask = client(url).chat.completions.create
    whole = ask(model="tiny", messages=HELLO, response_format=FORMAT)
    events = list(ask(model="tiny", messages=HELLO, response_format=FORMAT, stream=True, stream_options=options))
    assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == whole.choices[0].message.content
    assert events[0].choices[0].delta.role == "assistant"
    assert [event.usage for event in events if event.usage] == ([whole.usage] if wanted else [])
    assert [e.choices[0].finish_reason for e in events if e.choices][-1] == "stop"
    assert len({event.id for event in events}) == 1


class Slow(ScriptedEngine):
    """Says the beginning; says the rest, or fails, when it may go on."""

    def __init__(self, end: Reply | Exception) -> None:
        super().__init__([])
        self.end = end
        self.may_go_on = threading.Event()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | Reply, None]:
        yield "once upon"
        await asyncio.to_thread(self.may_go_on.wait)
        if isinstance(self.end, Exception):
            raise self.end
        yield " a time"
        yield self.end


def test_a_stream_is_heard_while_the_model_writes() -> None:
    engine = Slow(Reply("once upon a time", Usage(completion_tokens=4), "stop"))
    with front(voices(engine)) as url:
        stream = client(url).chat.completions.create(model="tiny", messages=HELLO, stream=True)
        _, first = next(stream), next(stream)
        assert first.choices[0].delta.content == "once upon"
        engine.may_go_on.set()  # not before the client has heard it
        assert [event.choices[0].delta.content for event in stream] == [" a time", None]


@pytest.mark.parametrize(
    ("error", "sentence"), [(EngineError("out of order"), "out of order"), (KeyError("secret"), "its log says more")]
)
def test_a_stream_that_breaks_ends_with_an_error(error: Exception, sentence: str) -> None:
    engine = Slow(error)
    engine.may_go_on.set()
    with front(voices(engine)) as url:
        stream = client(url).chat.completions.create(model="tiny", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError, match=sentence):
            list(stream)


def test_models_are_listed_and_roles_are_other_names_for_them(url: str) -> None:
    listed = {model.id: model.model_extra for model in client(url).models.list()}
    assert list(listed) == ["tiny", "words"]
    assert (listed["tiny"] or {})["roles"] == ["vlm", "critic"]
    assert client(url).models.retrieve("critic").id == "tiny"
    assert client(url).chat.completions.create(model="vlm", messages=HELLO).model == "tiny"


def test_embeddings_in_both_encodings(url: str) -> None:
    texts = ["a red cap", "the harbour"]
    expected = HashingEmbedder(8).embed(texts)
    for encoding in (openai.omit, "float", "base64"):
        answer = client(url).embeddings.create(model="words", input=texts, encoding_format=encoding)
        got = [e.embedding for e in answer.data]
        vectors = [np.frombuffer(base64.b64decode(v), "<f4") if isinstance(v, str) else v for v in got]
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert len(client(url).embeddings.create(model="words", input="one").data) == 1
    with pytest.raises(openai.BadRequestError, match="vectors of 8 numbers"):
        client(url).embeddings.create(model="words", input="one", dimensions=3)


BAD: dict[str, tuple[Any, str]] = {
    "not JSON": (b"{", "the body is not JSON"),
    "no object": ([1], "the body: "),
    "empty": (b"", "the body"),
    "nested without end": (b"[" * 50_000, ""),
    "no model": ({"messages": HELLO}, "model: Field required"),
    "no message": ({"model": "tiny", "messages": []}, "messages: List should have at least 1 item"),
    "a role that is none": ({"model": "tiny", "messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
    "content that is none": ({"model": "tiny", "messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
    "a lone surrogate": (b'{"model":"tiny","messages":[{"role":"user","content":"\\ud800"}]}', "messages.0.content"),
    "an unknown parameter": (
        {"model": "tiny", "messages": HELLO, "tools": []},
        "tools is not a parameter that this server knows",
    ),
    "several choices": ({"model": "tiny", "messages": HELLO, "n": 2}, "n: Input should be less than or equal to 1"),
    "too hot": ({"model": "tiny", "messages": HELLO, "temperature": 3}, "temperature: "),
    "a temperature that is no number": (
        b'{"model":"tiny","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        "temperature: ",
    ),
    "no token": ({"model": "tiny", "messages": HELLO, "max_tokens": 0}, "max_tokens: "),
    "a remote picture": (
        {"model": "tiny", "messages": shown("http://169.254.169.254/latest/meta-data")},
        "this server fetches nothing",
    ),
    "a file": ({"model": "tiny", "messages": shown("file:///etc/passwd")}, "this server fetches nothing"),
    "another kind of picture": (
        {"model": "tiny", "messages": shown("data:image/svg+xml;base64,PHN2Zy8+")},
        "an image is sent as data:image/jpeg;base64,",
    ),
    "no base64": ({"model": "tiny", "messages": shown("data:image/jpeg;base64,!!")}, "an image is not base64"),
    "no WAV": ({"model": "tiny", "messages": played(b"RIFF")}, "a sound is not a WAV file that can be read"),
    "another format": (
        {"model": "tiny", "messages": played(SECOND, form="mp3")},
        "a sound is sent as a WAV file, format wav, not 'mp3'",
    ),
    "too much sound": (
        {"model": "tiny", "messages": played(SECOND, SECOND)},
        "the request has 2.0 seconds of sound, and 1.5 are the most",
    ),
    "no JPEG": ({"model": "tiny", "messages": shown("data:image/jpeg;base64,R0lGODlh")}, "an image is not a JPEG"),
    "half of a header": (
        {"model": "tiny", "messages": shown(data_url(picture(1))[: 23 + 40])},
        "an image is not a JPEG",
    ),
    "too many pictures": (
        {"model": "tiny", "messages": shown(*[data_url(picture(1))] * 3)},
        "the request has 3 images",
    ),
    "too many pixels": (
        {"model": "tiny", "messages": shown(data_url(picture(1, 64, 32)))},
        "an image has 64 x 32 pixels, and 1536 are the most",
    ),
    "a schema that is none": (
        {"model": "tiny", "messages": HELLO, "response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "response_format.json_schema.json_schema.schema: Field required",
    ),
}


@pytest.mark.parametrize("what", list(BAD))
def test_a_bad_request_gets_a_sentence(url: str, what: str) -> None:
    body, sentence = BAD[what]
    answer = post(url, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert sentence in error["message"]
    assert error["type"] == "invalid_request_error"
    assert "Traceback" not in answer.text


def test_a_schema_too_deep_or_too_long_never_reaches_a_compiler(url: str) -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(100):
        deep = {"type": "object", "properties": {"x": deep}}
    long = {"enum": ["x" * 70_000]}
    for schema, sentence in ((deep, "nested deeper than 64"), (long, "more than 65536 characters")):
        with pytest.raises(openai.BadRequestError, match=sentence):
            client(url).chat.completions.create(
                model="tiny",
                messages=HELLO,
                response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
            )


def test_what_is_not_here_is_404(url: str) -> None:
    for ask in (
        lambda: client(url).chat.completions.create(model="gpt-9", messages=HELLO),
        lambda: client(url).chat.completions.create(model="words", messages=HELLO),
        lambda: client(url).embeddings.create(model="tiny", input="x"),
        lambda: client(url).models.retrieve("gpt-9"),
    ):
        with pytest.raises(openai.NotFoundError, match="there is no model") as caught:
            ask()
        assert caught.value.code == "model_not_found"
    assert httpx.get(f"{url}/elsewhere").json()["error"]["message"] == "Not Found"
    assert httpx.get(f"{url}/chat/completions").status_code == 405


def test_a_body_that_is_too_large_is_413_whether_it_says_so_or_not(url: str) -> None:
    large = {"model": "tiny", "messages": [{"role": "user", "content": "x" * 100_000}]}
    assert post(url, large).status_code == 413

    def pieces() -> Iterator[bytes]:
        for _ in range(11):
            yield b" " * 10_000

    answer = httpx.post(f"{url}/chat/completions", content=pieces())
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == "the body has more than 100000 bytes"


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (RequestError("the prompt has 9 tokens, the model takes 8\nTraceback"), 400, "the prompt has 9 tokens"),
        (ApiError(429, "too many requests wait", retry_after=1), 429, "too many requests wait"),
        (EngineError("out of order"), 500, "the model 'tiny' failed: out of order"),
        (UnavailableError("its replica was lost"), 503, "the model 'tiny' is not there: its replica was lost"),
        (ZeroDivisionError("secret of the house"), 500, "this server failed at the request"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_engines_raise_becomes_a_status(error: Exception, status: int, sentence: str, stream: bool) -> None:
    with front(voices(ScriptedEngine(lambda request: error))) as url:
        answer = post(url, {"model": "tiny", "messages": HELLO, "stream": stream})
    assert answer.status_code == status
    assert sentence in answer.json()["error"]["message"]
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert "Traceback" not in answer.text
    assert "secret" not in answer.text


def test_an_engine_that_says_nothing_is_given_up() -> None:
    async def silence(request: ChatRequest) -> str:
        await asyncio.Event().wait()
        return ""

    with front(voices(ScriptedEngine(silence)), timeout_s=0.05) as url, pytest.raises(openai.InternalServerError) as e:
        client(url).chat.completions.create(model="tiny", messages=HELLO)
    assert e.value.status_code == 503
    assert "did not answer within 0.05 s" in e.value.message


def test_with_a_token_nobody_is_answered_without_it() -> None:
    with front(voices(), token=sha256(b"open sesame").hexdigest()) as url:
        assert client(url, "open sesame").chat.completions.create(model="tiny", messages=HELLO).choices
        for key in ("open", "OPEN SESAME", "none"):
            with pytest.raises(openai.AuthenticationError, match="bearer token"):
                client(url, key).models.list()
        assert httpx.get(f"{url}/models").status_code == 401
        assert httpx.get(f"{url}/models", headers={"Authorization": "Basic open sesame"}).status_code == 401


def test_without_a_token_only_this_machine_is_answered_by_a_name_of_its_own() -> None:
    with front(voices()) as url:
        port = url.rpartition(":")[2].removesuffix("/v1")
        for host, status in ((f"localhost:{port}", 200), (f"[::1]:{port}", 200), (f"evil.example:{port}", 403)):
            assert httpx.get(f"{url}/models", headers={"Host": host}).status_code == status


def test_another_machine_is_refused_without_a_token() -> None:
    """No second machine is here: the app is asked as a server would ask it for one."""
    headers = [(b"host", b"127.0.0.1:8000")]
    check_caller({"headers": headers, "client": ("::ffff:127.0.0.1", 5)}, None)
    for client_address in (("192.168.0.7", 5), ("::ffff:10.0.0.1", 5), ("nowhere", 5), None):
        with pytest.raises(ApiError) as caught:
            check_caller({"headers": headers, "client": client_address}, None)
        assert caught.value.status == 403


async def test_the_engine_of_addresses_speaks_to_the_front() -> None:
    """What the jobs ask with."""
    asked = ScriptedEngine(digest)
    request = ChatRequest(
        (Message(role="user", content=(picture(1), Text(text="where?"))),), schema=SCHEMA, session="häfen 7"
    )
    with front(voices(asked)) as url:
        engine = OpenAIEngine(url, "vlm", api_key_env="")
        reply = await engine.chat(request)
        with pytest.raises(RequestError, match="64 are the most"):
            await engine.chat(replace(request, messages=(Message(role="user", content=(picture(1),) * 65),)))
        await engine.close()
    assert json.loads(reply.text) == {"place": "harbour"}
    assert reply.usage.images == 1
    assert asked.requests[0].session == quote("häfen 7")
