"""The command that writes lessons, for every policy that can be taught."""

import json
from pathlib import Path

import pytest

from loupe.training.toytown_lessons.__main__ import Settings, main, rollouts
from loupe.training.toytown_lessons.pool import LessonPool
from loupe.training.toytown_lessons.tables import read_lessons

ROLES = {
    "retrieval_critic": {"reasoner", "vlm", "critic"},
    "investigator": {"investigator", "vlm", "critic"},
    "active_perception": {"looker"},
    "passive": {"passive"},
}


@pytest.mark.parametrize("policy", ROLES)
def test_it_writes_what_a_trainer_reads(policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(tmp_path, policy=policy, films=2, minutes=2, seed=3, questions=8)
    main(settings)
    files = sorted(tmp_path.glob("*.parquet"))
    written = [lesson for file in files for lesson in read_lessons(file)]
    assert len(files) == 2
    assert written == [lesson for of_one in rollouts(settings) for each in of_one for lesson in each.lessons]
    assert set(LessonPool.of_folder(tmp_path).by_role) == {lesson.role for lesson in written} == ROLES[policy]
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "report.json").read_text())
    assert (told["films"], set(told["tokens"])) == (2, ROLES[policy])
