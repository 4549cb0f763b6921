"""The study as a command: films, indexes and answers are made once, and the page is written from what stands there."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tyro
import yaml

from jobs import answer_batch, index_library
from jobs import study as job
from jobs.study import Arguments
from loupe import config as configs
from loupe.benchmarks.toytown import __main__ as toytown
from loupe.lease import Lease, LeaseHeld
from loupe.study.plan import Setting
from loupe.study.work import Task
from schemas.questions import Question
from schemas.study import POINTS, SETTING_SCORES
from tests import in_process
from tests.answer_scene import config_tree
from tests.answer_scene import in_process as answers_in_process
from tests.faulty_endpoint import FaultyEndpoint
from tests.html_page import Seen


class InProcess:
    """Runs the study's commands in this process, and keeps what it was told to call them."""

    def __init__(self, breaks: str = "nothing", code: int = 2) -> None:
        self.names: list[str] = []
        self.breaks = breaks
        self.code = code

    def __call__(self, name: str, command: Sequence[object], log: Path) -> tuple[int, str]:
        self.names.append(name)
        if self.breaks in name:
            return self.code, "answer_batch: it broke"
        program, *arguments = map(str, command)
        match program:
            case "-m":
                toytown.main(tyro.cli(toytown.Settings, args=arguments[1:]))
                return 0, ""
            case "jobs/index_library.py":
                given = tyro.cli(index_library.Arguments, args=arguments)
                config = configs.load(given.config, given.set)
                return in_process.index(index_library.with_places(config, given.library, given.database)), ""
            case _:
                asked = tyro.cli(answer_batch.Arguments, args=arguments)
                config = answer_batch.with_arguments(configs.load(asked.config, asked.set), asked)
                return answer_batch.run(config, retry_failed=asked.retry_failed, answers_of=answers_in_process), ""


def write_config(folder: Path) -> str:
    """Models that answer by rule, for every role."""
    tree: dict[str, Any] = config_tree("none", "none", "none")
    tree["roles"] |= dict.fromkeys(("captioner", "summarizer", "transcriber"), "model")
    tree["index"] = {"commit_chunks": 4}
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    return str(folder / "config.yaml")


def arguments(folder: Path, **more: Any) -> Arguments:
    told: dict[str, Any] = {
        "config": write_config(folder),
        "output": str(folder / "study"),
        "lengths": (0.5, 1.0),
        "films": 1,
        "questions": 2,
        "times": 1,
        "budgets": (6, 7),
        "turns": 6,
        "at": 1.0,
        "at_once": 1,
    }
    return Arguments(**told | more)


def test_a_study_is_made_once_and_goes_on_where_it_was_ended(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    broken = InProcess(breaks="1m,retrieval_critic,critic.mode=off", code=1)  # as a program that raised
    assert job.run(arguments(tmp_path), broken) == 1
    assert broken.names[:3] == ["films of 1 minutes", "films of 0.5 minutes", "index of films of 0.5 minutes"]
    page = (tmp_path / "study" / "study.html").read_text()
    assert "retrieval_critic, no critic: its job did not run to its end: answer_batch: it broke" in Seen(page).text

    again = InProcess()
    assert job.run(arguments(tmp_path), again) == 0
    assert [name.partition(" ")[0] for name in again.names] == ["1m,retrieval_critic,critic.mode=off,"]

    finished = InProcess()
    assert job.run(arguments(tmp_path), finished) == 0
    assert finished.names == []

    more = InProcess()
    assert job.run(arguments(tmp_path, budgets=(6, 7, 8)), more) == 0
    (only,) = more.names
    assert "looking.max_turns=8" in only
    assert "finished before" in capsys.readouterr().out
    check_files(tmp_path / "study")


def check_files(folder: Path) -> None:
    """Both tables, and the page over them."""
    points, scores = (pq.read_table(folder / f"{name}.parquet") for name in ("points", "scores"))
    assert points.schema.equals(POINTS)
    assert scores.schema.equals(SETTING_SCORES)
    rows = points.to_pylist()
    budgets = [row for row in rows if (row["curve"], row["measure"]) == ("budget", "turns")]
    assert [row["x"] for row in budgets] == [6, 7, 8]
    assert all(row["count"] == 2 and row["low"] <= row["mean"] <= row["high"] for row in budgets)
    assert {row["setting"] for row in rows} <= set(scores["setting"].to_pylist())
    length = [row for row in rows if (row["curve"], row["measure"]) == ("length", "frames")]
    assert {row["x"] for row in length} == {0.5, 1.0}
    assert len(Seen((folder / "study.html").read_text()).all("svg")) > 8


def test_a_plan_says_what_is_left_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    started = InProcess()
    assert job.run(arguments(tmp_path, plan=True), started) == 0
    said = capsys.readouterr().out
    assert "1 films of 0.5 minutes: 1 s of a core to make" in said
    assert "1m,passive,passive_frames=16: 3 of 3 questions left, at most " in said
    assert "together about " in said
    assert started.names == []
    assert not (tmp_path / "study").exists()


def test_lengths_and_budgets_are_a_curve_in_whatever_order_they_are_named(tmp_path: Path) -> None:
    told = arguments(tmp_path, lengths=(1.0, 0.5, 1.0), budgets=(7, 6))
    size = job.size_of(told)
    assert (size.lengths, size.budgets) == ((0.5, 1.0), (6, 7))


def test_a_front_that_the_config_names_is_asked_where_the_command_names_none(tmp_path: Path) -> None:
    named = arguments(tmp_path, set=("answer.job.front=http://127.0.0.1:9/v1",))
    config = configs.load(named.config, named.set)
    setting = Setting(0.5, "passive")
    places = job.Places.of(tmp_path, config, 1)
    assert job.config_of(named, places, setting).answer.job.front == "http://127.0.0.1:9/v1"
    other = replace(named, front="http://127.0.0.1:8/v1")
    assert job.config_of(other, places, setting).answer.job.front == "http://127.0.0.1:8/v1"


def test_what_takes_nothing_away_is_not_asked_and_says_so(tmp_path: Path) -> None:
    started = InProcess()
    assert job.run(arguments(tmp_path, lengths=(0.5,), at=0.5, set=("answer.critic.mode=off",)), started) == 0
    assert not [name for name in started.names if "critic.mode=off" in name]
    assert [name for name in started.names if "hearing=off" in name]
    text = Seen((tmp_path / "study" / "study.html").read_text()).text
    assert "retrieval_critic, no critic: the config has none of it to begin with" in text


def test_what_shows_a_model_more_pictures_than_it_takes_is_left_out_and_says_so(tmp_path: Path) -> None:
    config = configs.load(write_config(tmp_path), ["answer.job.front=http://127.0.0.1:9/v1"])
    eyes = configs.VllmModel(engine="vllm", source="some/model", images_per_request=16)
    config = config.model_copy(update={"models": {**config.models, config.roles["vlm"]: eyes}})
    answer = config.answer.model_copy(update={"policy": "passive"})
    few, many = (
        config.model_copy(update={"answer": answer.model_copy(update={"passive_frames": frames})})
        for frames in (16, 64)
    )
    told = job.beyond_the_models({Setting(5, "passive", ("few",)): few, Setting(5, "passive", ("many",)): many})
    assert list(told) == ["5m,passive,many"]
    assert (
        "takes 16 pictures a request (images_per_request), and policy passive may show it 64" in told["5m,passive,many"]
    )


def test_questions_whose_model_could_not_be_reached_are_asked_again(tmp_path: Path) -> None:
    """The model goes away for one job; what that left is no answer, and no fault of the model's."""
    with FaultyEndpoint(kinds=("error",)) as endpoint:

        class Outage(InProcess):
            def __call__(self, name: str, command: Sequence[object], log: Path) -> tuple[int, str]:
                endpoint.rate = float("passive_frames=64" in name)
                return super().__call__(name, command, log)

        behind = config_tree("", "", "", url=endpoint.url)["models"]["model"] | {"max_retries": 1}
        changes = (f"models.behind={json.dumps(behind)}", "roles.vlm=behind")
        told = arguments(tmp_path, lengths=(0.5,), at=0.5, set=changes)
        assert job.run(told, Outage()) == 1
        assert "its job did not run to its end" in Seen((tmp_path / "study" / "study.html").read_text()).text

        again = InProcess()
        endpoint.rate = 0.0
        assert job.run(told, again) == 0
        (only,) = again.names
        assert only.startswith("0.5m,passive,passive_frames=64")
    scores = pq.read_table(tmp_path / "study" / "scores.parquet").to_pylist()
    asked = [row["status"] for row in scores if row["setting"] == "0.5m,passive,passive_frames=64"]
    assert len(asked) == 2
    assert "failed" not in asked


@pytest.mark.parametrize(("unreached", "whole"), [(0, True), (2, True), (3, False), (20, False)])
def test_a_setting_with_more_than_a_few_unreached_questions_is_not_measured(
    unreached: int, whole: bool, tmp_path: Path
) -> None:
    config = configs.load(write_config(tmp_path))
    questions = [Question(question_id=str(number), question="Who?") for number in range(20)]
    assert Task(Setting(5, "passive"), config, questions, unasked=0, unreached=unreached).whole is whole


def test_two_studies_of_one_folder_do_not_meet(tmp_path: Path) -> None:
    started = InProcess()
    with Lease.acquire(str(tmp_path / "study")), pytest.raises(LeaseHeld, match="is being written by"):
        job.run(arguments(tmp_path), started)
    assert started.names == []


def test_films_that_cannot_be_made_end_the_study(tmp_path: Path) -> None:
    with pytest.raises(job.StudyError, match=r"films of 1 minutes failed; its last words, .*: answer_batch: it broke"):
        job.run(arguments(tmp_path, lengths=(1.0,)), InProcess(breaks="films"))


def test_a_config_without_a_role_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    file = Path(write_config(tmp_path))
    tree = yaml.safe_load(file.read_text())
    del tree["roles"]["transcriber"]
    file.write_text(yaml.safe_dump(tree))
    started = InProcess()
    with pytest.raises(configs.ConfigError, match="transcriber"):
        job.run(Arguments(config=str(file), output=str(tmp_path / "study")), started)
    assert started.names == []


def test_a_command_runs_in_a_process_whose_words_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    code, words = job.begin("a try", ["-c", "import sys; print('so it is'); sys.exit(3)"], tmp_path / "logs" / "a.log")
    assert (code, words) == (3, "so it is")
    assert (tmp_path / "logs" / "a.log").read_text() == "so it is\n"
    assert "a try: exit code 3" in capsys.readouterr().out


def test_reasons_are_read_from_beside_the_page(tmp_path: Path) -> None:
    places = job.Places(tmp_path, 1, "i", "a")
    assert job.reasons(Arguments(), places) == {}
    (tmp_path / "reasons.yaml").write_text("budget: It stops too late.\n")
    assert job.reasons(Arguments(), places) == {"budget": "It stops too late."}
    for text, why in (("- no map", "not a map"), ("cost: It is high.", "'cost' is none of the curves length, budget,")):
        (tmp_path / "other.yaml").write_text(text)
        with pytest.raises(job.StudyError, match=why):
            job.reasons(Arguments(reasons=str(tmp_path / "other.yaml")), places)
    told = job.reasons(Arguments(reasons=str(configs.ROOT / "docs" / "study.reasons.yaml")), places)
    assert told.keys() == {"length", "ablation", "entropy"}


def test_the_folder_of_a_setting_can_be_named_on_a_command_line() -> None:
    setting = Setting(5, "investigator", ("answer.looking.max_turns=6",), indexed=False)
    assert setting.name == "5m,investigator,looking.max_turns=6,no-index"
