"""A config file, and what is changed of it on the command line."""

import shutil
from pathlib import Path

import pytest

from loupe.config import ROOT, ConfigError, VllmModel, load

SHIPPED = sorted(path.name for path in (ROOT / "infra" / "configs").glob("*.yaml"))


def test_a_change_reaches_one_of_two_models_that_share_a_section() -> None:
    changes = ("models.llama-4-maverick.serve.replicas_max=3", "models.llama-4-maverick.engine_kwargs.seed=1")
    models = load("infra/configs/open-models.yaml", changes).models
    eyes, critic, reasoner = (
        models[f"{name}"] for name in ("llama-4-maverick", "llama-4-maverick-critic", "deepseek-v3-1")
    )
    assert isinstance(eyes, VllmModel)
    assert isinstance(critic, VllmModel)
    assert isinstance(reasoner, VllmModel)
    assert (eyes.serve.replicas_max, reasoner.serve.replicas_max) == (3, 2)
    assert (eyes.engine_kwargs.get("seed"), critic.engine_kwargs.get("seed")) == (1, None)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_model_that_ships_can_be_changed(name: str) -> None:
    for model in load(f"infra/configs/{name}").models:
        changed = load(f"infra/configs/{name}", [f"models.{model}.price.prompt=7"])
        assert changed.models[model].price.prompt == 7


def test_a_new_section_is_made_and_a_value_is_none(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("models: {one: {engine: scripted}}\nroles: {vlm: one}\n")
    assert load(file, ["serving.port=9000"]).serving.port == 9000
    with pytest.raises(ConfigError, match="'engine' is a value, not a section"):
        load(file, ["models.one.engine.source=x"])


def test_every_wrong_value_is_named_by_its_place_alone() -> None:
    with pytest.raises(ConfigError) as refused:
        load("infra/configs/demo.yaml", ["answer.critic.thresold=1", "answer.critic.threshold=70"])
    assert str(refused.value).split("; ") == [
        "demo.yaml: answer.critic.threshold: Input should be less than or equal to 1",
        "answer.critic.thresold: Extra inputs are not permitted",
    ]


def test_a_set_of_prompts_that_is_not_whole_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'tinny' lacks active_perception, ask, ask_context and \d+ more; there are"):
        load("infra/configs/demo.yaml", ["prompts=tinny"])
    shutil.copytree(ROOT / "loupe" / "prompts" / "tiny", tmp_path / "own")
    assert load("infra/configs/demo.yaml", [f"prompts={tmp_path / 'own'}"]).prompts == str(tmp_path / "own")
    (tmp_path / "own" / "critique.txt").unlink()
    with pytest.raises(ConfigError, match=r"own' lacks critique; there are full, tiny, or a folder"):
        load("infra/configs/demo.yaml", [f"prompts={tmp_path / 'own'}"])
