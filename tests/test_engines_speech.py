"""The engines for speech: an address, against a real server on loopback; models in the process."""

import asyncio
import io
import wave

import numpy as np
import pytest
from pydantic import ValidationError

from loupe.config import Config, ConfigError, FasterWhisperModel, OpenAIModel, ScriptedModel
from loupe.engines.open import open_transcriber
from loupe.engines.openai_speech import OpenAITranscriber
from loupe.engines.protocol import EngineError
from loupe.engines.speech import RATE, Spoken
from tests.openai_server import FAULTS, OpenAIServer

SOUND = np.linspace(-1, 1, RATE, dtype=np.float32)
SEGMENTS = [
    {"id": 0, "start": 0.32, "end": 0.5, "text": " good morning"},
    {"id": 1, "start": 0.5, "end": 0.9, "text": " "},
    {"id": 2, "start": 0.7, "end": 0.95, "text": " to you"},
]
ANSWER = {
    "task": "transcribe",
    "language": "english",
    "duration": 1.0,
    "text": "good morning to you",
    "segments": SEGMENTS,
}


def transcriber(server: OpenAIServer, **settings) -> OpenAITranscriber:
    return OpenAITranscriber(server.url, "whisper-1", **{"timeout_s": 5, "first_wait_s": 0.02, **settings})


async def test_sound_arrives_as_wav_and_segments_are_read():
    with OpenAIServer(lambda body: ANSWER) as server:
        engine = transcriber(server, extra_body={"language": "en"})
        lines = await engine.transcribe([SOUND, SOUND[:800]])
        await engine.close()
    assert lines == [[Spoken(320, 500, "good morning"), Spoken(700, 950, "to you")]] * 2
    body = max(server.bodies, key=lambda body: len(body["file"]))
    assert (body["model"], body["response_format"], body["language"]) == ("whisper-1", "verbose_json", "en")
    with wave.open(io.BytesIO(body["file"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        samples = np.frombuffer(file.readframes(RATE), np.int16)
    np.testing.assert_allclose(samples / 32_767, SOUND, atol=1e-4)


async def test_a_server_without_segments_gives_one_line():
    with OpenAIServer(lambda body: " hello ") as server:
        engine = transcriber(server)
        assert await engine.transcribe([SOUND]) == [[Spoken(0, 1_000, "hello")]]
        await engine.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_tried_again(fault):
    with OpenAIServer(lambda body: ANSWER, script=[fault]) as server:
        engine = transcriber(server, timeout_s=1)
        assert [line.text for line in (await engine.transcribe([SOUND]))[0]] == ["good morning", "to you"]
        await engine.close()
    assert len(server.bodies) == 2


async def test_a_refusal_is_an_error_with_the_servers_sentence():
    with OpenAIServer(script=[(400, {"error": {"message": "no such model"}}, {})]) as server:
        engine = transcriber(server)
        with pytest.raises(EngineError, match="HTTP 400: no such model"):
            await engine.transcribe([SOUND])
        await engine.close()


async def test_of_a_sound_that_is_refused_in_part_nothing_goes_on_being_asked():
    with OpenAIServer(lambda body: ANSWER, script=[(400, {"error": {"message": "too quiet"}}, {})]) as server:
        engine = transcriber(server, concurrency=1)
        with pytest.raises(EngineError, match="too quiet"):
            await engine.transcribe([SOUND] * 8)
        assert len(asyncio.all_tasks()) == 1
        await engine.close()
    assert len(server.bodies) < 8


async def test_the_config_says_which_engine():
    address = OpenAIModel(engine="openai", base_url="http://127.0.0.1:9/v1", model="w", max_retries=0)
    engine = open_transcriber(address)
    with pytest.raises(EngineError, match="no answer after one try"):
        await engine.transcribe([SOUND])
    scripted = open_transcriber(ScriptedModel(engine="scripted"))
    assert (await scripted.transcribe([SOUND]))[0][0].end_ms == 1_000
    with pytest.raises(ConfigError, match="no scripted rule is called"):
        open_transcriber(ScriptedModel(engine="scripted", source="nobody"))


WHISPER = {"engine": "whisper", "source": "w"}
WRITER = {"engine": "fields"}


def test_who_can_hear_and_who_can_write():
    assert Config.model_validate({"models": {"w": WHISPER}, "roles": {"transcriber": "w"}}).speech_model().source == "w"
    assert Config.model_validate({"models": {"w": WRITER}, "roles": {"summarizer": "w"}}).speech_model() is None
    with pytest.raises(ValidationError, match="role transcriber cannot be done by 'w': its engine is fields"):
        Config.model_validate({"models": {"w": WRITER}, "roles": {"transcriber": "w"}})
    with pytest.raises(ValidationError, match="role summarizer cannot be done by 'w': its engine is whisper"):
        Config.model_validate({"models": {"w": WHISPER}, "roles": {"summarizer": "w"}})


def test_what_only_hears_is_not_behind_the_front_of_served_models():
    tree = {"models": {"ear": WHISPER, "writer": WRITER}, "roles": {"transcriber": "ear", "summarizer": "writer"}}
    config = Config.model_validate(tree)
    through = config.through_front("http://127.0.0.1:8000/v1")
    assert through.speech_model() == config.speech_model()
    assert through.chat_model("summarizer").engine == "openai"


def test_faster_whisper_is_asked_for_by_name_where_it_is_missing():
    try:
        import faster_whisper  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match=r"pip install loupe\[speech\]"):
            open_transcriber(FasterWhisperModel(engine="faster-whisper", source="tiny"))
    else:
        pytest.skip("faster-whisper is here")
