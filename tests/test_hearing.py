"""The index job hears films that have no subtitles: each line once, where it is said, and not again without need."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from jobs import index_library
from loupe.benchmarks.toytown.film import recorded
from loupe.benchmarks.toytown.sound import soundtrack
from loupe.benchmarks.toytown.speech import RATE, VOICES, Line, duration_ms
from loupe.config import Config
from loupe.library import Library
from tests.films.clicking import write_clicking_film
from tests.in_process import index
from tests.index_run import config
from tests.index_scene import film, report, rows, versions
from tests.openai_server import OpenAIServer

SECONDS = 28
SAID = ((2_000, "good morning to you", "low"), (9_000, "the bucket costs twenty coins", "narrator"))
LATER = (21_000, "see you later", "high")
"""The second line goes on where the second chunk of ten seconds has begun."""


def speaking_film(path: Path, *said: tuple[int, str, str]) -> Path:
    """A film in which these lines are said."""
    lines = [Line(start, start + duration_ms(text, voice), voice, voice, text) for start, text, voice in said]
    blocks = soundtrack(lines, {voice: recorded(voice) for voice in VOICES}, SECONDS * 1000)
    sound = np.concatenate(list(blocks)).astype(np.float32) / 32_768
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_clicking_film(path, sound, codec="aac", rate=RATE, seconds=SECONDS)


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """What a server says to any sound: how long it is, over its whole length."""
    seconds = len(body["file"]) / 2 / RATE
    return {"text": "words", "segments": [{"id": 0, "start": 0.0, "end": seconds, "text": f"{seconds:.1f} s of words"}]}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(answer) as server:
        yield server


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return tmp_path / "films"


def hearing(films: Path, server: OpenAIServer, **changes: Any) -> Config:
    """A config with a transcriber behind the server's address."""
    tree = config(str(films), str(films.parent / "database")).model_dump()
    tree["models"]["ear"] = {"engine": "openai", "base_url": server.url, "model": "w", "max_retries": 0} | changes
    tree["roles"]["transcriber"] = "ear"
    tree["index"]["chunk_seconds"] = 10
    return Config.model_validate(tree)


def heard(config: Config) -> list[dict[str, Any]]:
    return Library.open(config.index.database).transcripts("film.mp4")


def test_every_line_is_heard_once_where_it_is_said(films, server):
    speaking_film(films / "film.mp4", *SAID, LATER)
    asked = hearing(films, server)
    assert index(asked) == 0
    lines = heard(asked)
    assert [line["source"] for line in lines] == ["heard:ear"] * 3
    for line, (start_ms, text, voice) in zip(lines, (*SAID, LATER), strict=True):
        assert abs(line["start_ms"] - start_ms) < 300
        assert abs(line["end_ms"] - start_ms - duration_ms(text, voice)) < 300
    assert [line["chunk_index"] for line in lines] == [0, 0, 2]
    assert len(server.bodies) == 3
    assert rows(asked.index.database)["transcripts"][0]["vector"]


def test_a_second_run_hears_nothing(films, server):
    speaking_film(films / "film.mp4", *SAID)
    asked = hearing(films, server)
    assert index(asked) == 0
    before, requests = versions(asked.index.database), len(server.bodies)
    assert index(asked) == 0
    assert (versions(asked.index.database), len(server.bodies)) == (before, requests)


def test_a_new_summarizer_does_not_hear_again_and_a_new_transcriber_does(films, server):
    speaking_film(films / "film.mp4", *SAID)
    asked = hearing(films, server)
    assert index(asked) == 0
    lines, requests = heard(asked), len(server.bodies)
    longer = asked.model_copy(update={"index": asked.index.model_copy(update={"summary_tokens": 300})})
    assert index(longer) == 0
    assert len(server.bodies) == requests
    assert [_words(line) for line in heard(longer)] == [_words(line) for line in lines]
    assert heard(longer)[0]["lineage"] != lines[0]["lineage"]
    assert index(hearing(films, server, model="other")) == 0
    assert len(server.bodies) == 2 * requests


def _words(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["start_ms"], line["end_ms"], line["text"]


def test_a_changed_film_is_heard_where_it_changed(films, server):
    speaking_film(films / "film.mp4", *SAID)
    asked = hearing(films, server)
    assert index(asked) == 0
    requests = len(server.bodies)
    speaking_film(films / "film.mp4", *SAID, LATER)
    assert index(asked) == 0
    assert [line["start_ms"] // 1000 for line in heard(asked)] == [1, 8, 20]
    assert len(server.bodies) == requests + 1


def test_subtitles_win_and_films_without_sound_are_left_in_peace(films, server):
    speaking_film(films / "film.mp4", *SAID)
    (films / "film.srt").write_text("1\n00:00:02,000 --> 00:00:03,000\nWritten by hand.\n")
    film(films / "mute.mp4", 3)
    speaking_film(films / "wordless.mp4", LATER)
    (films / "wordless.srt").write_text("")
    asked = hearing(films, server)
    assert index(asked) == 0
    assert [line["text"] for line in rows(asked.index.database)["transcripts"]] == ["Written by hand."]
    assert server.bodies == []


def test_a_transcriber_that_is_down_leaves_the_chunk_for_the_next_run(films, server):
    speaking_film(films / "film.mp4", LATER)
    asked = hearing(films, server)
    refused = (400, {"error": {"message": "out of memory"}}, {})
    server.fail_next(refused)
    assert index(asked) == 1
    failed = rows(asked.index.database)["failures"]
    assert [(row["chunk_index"], row["stage"], row["class"]) for row in failed] == [(2, "transcribe", "RequestError")]
    assert "out of memory" in failed[0]["message"]
    assert index(asked) == 0
    assert len(heard(asked)) == 1
    assert rows(asked.index.database)["failures"] == []


def test_damaged_sound_is_a_reason_that_stays_and_the_rest_is_heard(films, server):
    path = speaking_film(films / "film.mp4", *SAID, LATER)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            if packet.pts is not None and 14 <= packet.pts * packet.time_base <= 16:
                data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    asked = hearing(films, server)
    assert index(asked) == 1
    (reason,) = rows(asked.index.database)["failures"]
    assert (reason["chunk_index"], reason["stage"], reason["class"]) == (1, "transcribe", "MediaError:damaged")
    assert "packets of sound could not be decoded, from 14" in reason["message"]
    assert len(heard(asked)) == 3
    longer = asked.model_copy(update={"index": asked.index.model_copy(update={"summary_tokens": 300})})
    index(longer)
    assert rows(asked.index.database)["failures"] == [reason]


def test_what_was_listened_to_is_reported_and_planned(films, server, capsys):
    speaking_film(films / "film.mp4", *SAID, LATER)
    speaking_film(films / "written.mp4", *SAID)
    (films / "written.srt").write_text("1\n00:00:02,000 --> 00:00:03,000\nWritten by hand.\n")
    asked = hearing(films, server, price={"minute": 6.0})
    assert index_library.print_plan(asked) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["seconds_of_sound_at_most"] == SECONDS
    assert plan["transcriber_requests_about"] == 3
    assert plan["cost_usd_about"] == pytest.approx(SECONDS * 0.1)
    assert index(asked) == 0
    told = report(asked.index.database)
    seconds = told["transcriber"]["seconds_of_sound"]
    assert told["transcriber"]["requests"] == len(server.bodies) == 3
    assert 2 < seconds < SECONDS / 2
    assert told["cost_usd"] == pytest.approx(seconds * 0.1, abs=0.01)


def test_sound_in_an_unknown_codec_is_a_reason_and_costs_a_replaced_film_nothing(films, server):
    film(films / "film.mp4", SECONDS)
    asked = hearing(films, server)
    assert index(asked) == 0
    speaking = speaking_film(films / "film.mp4", *SAID)
    speaking.write_bytes(speaking.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    assert index(asked) == 1
    written = rows(asked.index.database)
    assert [row["chunk_index"] for row in written["chunks"]] == [0, 1, 2]
    assert {(row["chunk_index"], row["stage"], row["class"]) for row in written["failures"]} == {
        (number, "transcribe", "MediaError:unsupported") for number in range(3)
    }
