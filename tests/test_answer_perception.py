"""The batch job with the policies that look for themselves: on films that were never indexed, without any database."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.answer_batch import print_plan
from loupe.answering.preparing import open_desk, reached
from loupe.answering.run import Run
from loupe.config import Config, ConfigError, LocalModel, OpenAIModel, VllmModel
from loupe.engines.speech import RATE
from loupe.library.notes import read_notes
from tests.answer_scene import answer_all, config_tree, rows, write_questions
from tests.index_scene import film
from tests.openai_server import OpenAIServer


def job(folder: Path, **answer: object) -> Config:
    """Two questions about a film of four seconds that lies in a folder, and no database."""
    film(folder / "films" / "a.mp4", 4)
    questions = write_questions(folder / "questions.parquet", 2)
    tree = config_tree(str(folder / "no database"), questions, str(folder / "results"), **answer)
    tree["index"] |= {"library": str(folder / "films")}
    tree["models"] |= {"ears": {"engine": "scripted"}}
    tree["roles"] |= {"transcriber": "ears"}
    return Config.model_validate(tree)


@pytest.mark.parametrize("policy", ["active_perception", "investigator"])
def test_films_that_were_never_indexed_are_answered_about_without_a_database(policy: str, tmp_path: Path) -> None:
    assert answer_all(job(tmp_path, policy=policy)) == 0
    assert [row["status"] for row in rows(str(tmp_path / "results"))] == ["answered", "answered"]
    assert not (tmp_path / "no database").exists()
    looked = [
        media for row in rows(str(tmp_path / "results"), "traces") for turn in row["turns"] for media in turn["media"]
    ]
    assert {media["source"] for media in looked} == {"decode"}


def test_who_cannot_hear_is_told_so_before_anything_begins(tmp_path: Path) -> None:
    config = job(tmp_path, policy="active_perception")
    deaf = config.model_copy(update={"roles": {role: of for role, of in config.roles.items() if role != "transcriber"}})
    with pytest.raises(ConfigError, match=r"nobody the role 'transcriber'.*answer\.looking\.hearing to audio"):
        answer_all(deaf)
    local = LocalModel(engine="local", source="some/model")
    one_that_looks = config.model_copy(update={"models": {**config.models, config.roles["vlm"]: local}})
    audio = {"looking": deaf.answer.looking.model_copy(update={"hearing": "audio"})}
    with pytest.raises(
        ConfigError, match=r"engine local, which hears nothing: set answer\.looking\.hearing to transcript"
    ):
        answer_all(one_that_looks.model_copy(update={"answer": deaf.answer.model_copy(update=audio)}))
    silent = {"looking": deaf.answer.looking.model_copy(update={"hearing": "off"})}
    assert answer_all(deaf.model_copy(update={"answer": deaf.answer.model_copy(update=silent)})) == 0


def test_notes_are_written_back_by_the_job_and_offered_to_the_next(tmp_path: Path) -> None:
    first = job(tmp_path, policy="investigator", notes={"keep": True})
    assert answer_all(first) == 0
    kept = read_notes(first.index.database, "a.mp4")
    assert {row["transcript_id"].split("@")[0] for row in kept} == {"q000", "q001"}
    assert all(0 <= row["start_ms"] <= row["end_ms"] <= 4000 and row["text"] for row in kept)
    later = first.answer.model_copy(update={"notes": first.answer.notes.model_copy(update={"offer": 2})})
    later = later.model_copy(update={"job": later.job.model_copy(update={"output": str(tmp_path / "later")})})
    assert answer_all(first.model_copy(update={"answer": later})) == 0
    openings = [json.loads(row["messages"])[1]["content"] for row in rows(str(tmp_path / "later"), "traces")]
    assert all("<notes>" in opening for opening in openings)


def test_a_plan_bounds_what_looking_may_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for turns in (6, 12):
        looking = {"turns": "fixed", "max_turns": turns}
        assert print_plan(job(tmp_path, policy="active_perception", looking=looking)) == 0
        told.append(json.loads(capsys.readouterr().out)["prompt_tokens_at_most"])
    assert told[1] == 2 * told[0] > 0
    kept = {"turns": "fixed", "max_turns": 12, "purge": False}
    assert print_plan(job(tmp_path, policy="active_perception", looking=kept)) == 0
    assert json.loads(capsys.readouterr().out)["prompt_tokens_at_most"] > 2 * told[1]


def test_a_plan_counts_room_for_notes_what_is_asked_and_what_is_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def plan(**answer: Any) -> dict[str, Any]:
        assert print_plan(job(tmp_path, **answer)) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    looking = {"turns": "fixed", "max_turns": 10}
    bare = plan(policy="active_perception", looking=looking)
    roomy = plan(policy="active_perception", looking=looking | {"prompt_tokens": 30_000})
    assert roomy["prompt_tokens_at_most"] - bare["prompt_tokens_at_most"] == 10 * 6_000 * bare["questions_left"]
    assert plan(policy="investigator", looking=looking)["prompt_tokens_at_most"] > bare["prompt_tokens_at_most"]
    hearing = looking | {"hearing": "transcript", "listen_seconds": 60}
    assert plan(policy="active_perception", looking=hearing)["seconds_of_sound_at_most"] == 600 * bare["questions_left"]
    silent = plan(policy="active_perception", looking=looking | {"hearing": "off"})
    audio = plan(policy="active_perception", looking=hearing | {"hearing": "audio", "watch_seconds": 40})
    assert audio["seconds_of_sound_at_most"] == 600 * bare["questions_left"]
    assert audio["prompt_tokens_at_most"] - silent["prompt_tokens_at_most"] == 10 * 40 * 25 * bare["questions_left"]


@pytest.mark.parametrize(("policy", "frames"), [("active_perception", 12), ("retrieval_critic", 16), ("passive", 16)])
def test_a_model_that_takes_fewer_pictures_is_refused_before_anything_begins(
    policy: str, frames: int, tmp_path: Path
) -> None:
    config = job(tmp_path, policy=policy, looking={"frames": 12}, job={"front": "http://127.0.0.1:9/v1"})
    for takes in (frames - 1, frames):
        eyes = VllmModel(engine="vllm", source="some/model", images_per_request=takes)
        asked = config.model_copy(update={"models": {**config.models, config.roles["vlm"]: eyes}})
        if takes < frames:
            with pytest.raises(
                ConfigError, match=rf"takes {takes} pictures a request .* may show it {frames}: raise it"
            ):
                reached(asked)
        else:
            assert reached(asked).models


def test_where_nothing_is_purged_a_model_has_to_take_the_pictures_of_all_turns(tmp_path: Path) -> None:
    looking = {"frames": 4, "max_turns": 6, "purge": False}
    eyes = VllmModel(engine="vllm", source="some/model", images_per_request=19)
    for policy, critic, pictures in (
        ("active_perception", "always", 20),
        ("investigator", "off", 20),
        ("investigator", "always", 40),  # what is sent back has as many turns again
    ):
        settings = {"policy": policy, "looking": looking, "critic": {"mode": critic}}
        config = job(tmp_path, **settings, job={"front": "http://127.0.0.1:9/v1"})
        with pytest.raises(ConfigError, match=f"may show it {pictures}:"):
            reached(config.model_copy(update={"models": {**config.models, config.roles["vlm"]: eyes}}))


async def test_a_model_that_talks_at_the_front_transcribes_at_its_own_address(tmp_path: Path) -> None:
    with OpenAIServer(lambda body: {"text": "hello"}) as server:
        config = job(tmp_path, policy="active_perception", job={"front": "http://127.0.0.1:9/v1"})
        both = OpenAIModel(engine="openai", base_url=server.url, model="m", max_retries=0)
        roles = {**config.roles, "vlm": "both", "transcriber": "both"}
        config = config.model_copy(update={"models": {**config.models, "both": both}, "roles": roles})
        desk = open_desk(config, Run.new(config))
        assert desk.transcriber is not None
        heard = await desk.transcriber.transcribe([np.zeros(RATE, np.float32)])
        await desk.close()
    assert [line.text for line in heard[0]] == ["hello"]
