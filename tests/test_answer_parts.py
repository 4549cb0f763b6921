"""The parts of the batch job that need no models: groups, budgets, files, lines."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from loupe import prompts
from loupe.agent.budget import Spent
from loupe.answering.preparing import GROUP, groups_of, left_of
from loupe.answering.progress import Progress
from loupe.answering.purse import Account, Purse
from loupe.answering.run import differences
from loupe.answering.store import STEPS, AnswerRows, Batch
from loupe.config import Config
from schemas.questions import Question
from schemas.results import ANSWERS
from schemas.traces import TRACES
from tests.answer_scene import config_tree

NOTHING = ANSWERS.empty_table()


def questions(count: int) -> list[Question]:
    return [Question(question_id=str(number), question="?", video=f"{number % 3}.mp4") for number in range(count)]


def answers(*statuses: str, **fields: object) -> pa.Table:
    rows = [
        {"question_id": str(number), "transcript_id": str(number), "status": status} | fields
        for number, status in enumerate(statuses)
    ]
    return pa.Table.from_pylist(rows, schema=ANSWERS)


def one_answer() -> AnswerRows:
    return AnswerRows(answers("answered"), TRACES.empty_table())


# Questions


def test_questions_of_a_film_travel_together() -> None:
    groups = groups_of(left_of(questions(60), NOTHING), actors=1)
    assert {len(group.questions) for group in groups} == {8, 4}
    assert [len({one.video for one in group.questions}) for group in groups] == [1, 1, 2, 1, 1, 1, 1, 1]
    assert sum(len(group.questions) for group in groups) == 60


@pytest.mark.parametrize(("count", "actors", "groups"), [(0, 1, 0), (1, 1, 1), (3, 4, 3), (16, 4, 8), (1000, 4, 125)])
def test_groups_are_small_enough_to_keep_every_actor_busy(count: int, actors: int, groups: int) -> None:
    made = groups_of(questions(count), actors)
    assert len(made) == groups
    assert all(len(group.questions) <= GROUP for group in made)


# Files


def test_every_step_stands_in_the_docs() -> None:
    table = (Path(__file__).parent.parent / "docs" / "exactly_once.md").read_text()
    assert [step for step, sees in STEPS.items() if f"| `{step}` | {sees} |" not in table] == []


class Clock:
    """Stands where it is put."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def files_of(seconds_each: float, hours: float, clock: Clock) -> list[int]:
    """Answers in each file of a job that gives one every so many seconds."""
    batch, sizes, one = Batch(512, 30, clock), [], one_answer()
    while clock.now < hours * 3600:
        clock.now += seconds_each
        batch.add(one)
        if batch.due():
            sizes.append(batch.take().answers.num_rows)
    return sizes


def test_a_slow_job_of_a_day_writes_few_files_and_risks_little() -> None:
    sizes = files_of(20, hours=24, clock=Clock())
    assert sizes[0] == 2
    assert len(sizes) < 150
    assert sizes[-1] * 20 < 0.06 * 24 * 3600


def test_a_fast_job_writes_full_files() -> None:
    assert set(files_of(0.01, hours=0.005, clock=Clock())) == {512}


def test_nothing_is_due_where_nothing_waits() -> None:
    clock = Clock()
    batch = Batch(1, 30, clock)
    clock.now = 1000
    assert not batch.due()
    assert batch.take().answers.num_rows == 0


# Budgets


def test_actors_learn_what_the_others_spent() -> None:
    purse = Purse(100, 1.0)
    here, there = Account(Spent(0.0)), Account(Spent(0.0))

    def report(account: Account) -> None:
        own = account.own()
        account.learn(own, purse.report(account.who, *own))

    here.spent.add(10, 0.5)
    report(here)
    assert (here.spent.tokens, here.spent.cost) == (110, 1.5)
    there.spent.add(5, 0.25)
    report(there)
    assert there.spent.tokens == 115
    here.spent.add(1, 0.0)
    report(here)
    report(here)
    assert (here.spent.tokens, here.own()) == (116, (11, 0.5))


def test_a_purse_that_was_begun_anew_gives_nothing_back() -> None:
    purse, here = Purse(), Account(Spent(0.0))
    purse.report("there", 100, 1.0)
    for each in (purse, Purse()):
        own = here.own()
        here.learn(own, each.report(here.who, *own))
        assert (here.spent.tokens, here.spent.cost) == (100, 1.0)


def test_what_is_spent_while_a_report_is_under_way_is_not_lost() -> None:
    purse, here = Purse(), Account(Spent(0.0))
    here.spent.add(10, 0.0)
    own = here.own()
    answer = purse.report(here.who, *own)
    here.spent.add(7, 0.0)
    here.learn(own, answer)
    assert (here.spent.tokens, here.own()) == (17, (17, 0.0))


# Configs


def test_what_decides_about_an_answer_is_neither_place_nor_speed_nor_price() -> None:
    tree = config_tree("database", "questions", "output", url="http://127.0.0.1:1/v1")
    same = config_tree("other", "other", "other", url="http://127.0.0.1:2/v1", job={"questions_in_flight": 9})
    same["models"]["model"]["price"] = {"prompt": 9.0}
    same["answer"]["job_budget"] = {"tokens": 5}
    assert decides(tree) == decides(same)
    other = config_tree("database", "questions", "output", url="http://127.0.0.1:1/v1", top_k=3)
    other["models"]["model"]["model"] = "another"
    assert differences(decides(tree), decides(other)) == [
        "answer.top_k: 40, now 3",
        'models.model.model: "m", now "another"',
    ]


def test_an_edited_prompt_of_the_agents_decides_and_one_of_the_index_does_not(tmp_path: Path) -> None:
    own = Path(shutil.copytree(prompts.FOLDER / "tiny", tmp_path / "own"))
    tree = config_tree("database", "questions", "output", url="http://127.0.0.1:1/v1") | {"prompts": str(own)}
    before = decides(tree)
    (own / "caption.txt").write_text("What is to be seen?")
    assert decides(tree) == before
    (own / "investigator.txt").write_text("Find out.")
    [told] = differences(before, decides(tree))
    assert told.startswith("prompts.investigator: ")


def decides(tree: dict[str, object]) -> dict[str, object]:
    return Config.model_validate(tree).of_an_answer()


# Lines


def test_the_line_tells_statuses_spending_and_what_is_left() -> None:
    clock = Clock()
    progress = Progress(4, answers("answered", "failed", error="EngineError: no"), clock)
    assert "questions 2/6  answered 1  failed 1  tokens 0  $0.0000  no estimate yet" in progress.line()
    clock.now = 30
    progress.add(answers("answered", prompt_tokens=70, completion_tokens=5, cost=0.25))
    assert "30 s  questions 3/6  answered 2  failed 1  tokens 75  $0.2500  90 s left" in progress.line()
    assert progress.errors() == {"EngineError": 1}
