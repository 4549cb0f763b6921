"""What a config says about served models, and what it is refused for."""

import subprocess
import sys
from typing import Any

import pytest

from loupe.agent.policies import POLICIES
from loupe.agent.policy import needed_roles
from loupe.config import ROOT, Config, ConfigError, OpenAIModel, VllmModel, load
from serving.__main__ import main
from serving.app import application
from serving.scaling import scaling

AGENT = ("reasoner", "vlm", "critic", "critic_vlm")


def config(**sections: Any) -> Config:
    return Config.model_validate({"models": {"tiny": {"engine": "scripted"}}, "roles": {"vlm": "tiny"}, **sections})


@pytest.mark.parametrize("name", ["endpoint", "h200", "open-models"])
def test_the_configs_name_a_model_for_every_role_of_the_agent(name: str) -> None:
    read = load(ROOT / f"infra/configs/{name}.yaml")
    for role in AGENT:
        assert read.chat_model(role)
    for model in read.through_front().models.values():
        assert model.engine in ("openai", "sentence-transformers")


@pytest.mark.parametrize("name", ["demo", "endpoint", "h200", "open-models"])
@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_runs_with_every_config_that_ships(name: str, policy: str) -> None:
    read = load(ROOT / f"infra/configs/{name}.yaml")
    assert set(needed_roles(POLICIES[policy], read.answer)) <= set(read.roles)
    looks = read.chat_model("vlm")
    if isinstance(looks, VllmModel):
        assert read.answer.looking.frames <= looks.images_per_request


def test_a_model_that_talks_is_reached_at_the_front_though_it_transcribes_too() -> None:
    both = config(roles={"vlm": "tiny", "transcriber": "tiny"}).through_front("http://127.0.0.1:9/v1").models["tiny"]
    assert isinstance(both, OpenAIModel)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "models.example"])
def test_an_address_that_others_reach_wants_a_token(host: str) -> None:
    with pytest.raises(ValueError, match=f"other machines can reach host {host}: name the environment variable"):
        config(serving={"host": host})
    assert config(serving={"host": host, "token_env": "LOUPE_TOKEN"})


@pytest.mark.parametrize("value", [None, "", "  "])
def test_nothing_is_served_without_the_token_that_the_config_names(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOUPE_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("LOUPE_TOKEN", value)
    with pytest.raises(ConfigError, match=r"serving\.token_env names LOUPE_TOKEN, which is not set"):
        application(config(serving={"token_env": "LOUPE_TOKEN"}))


def test_a_proxy_that_listens_to_every_machine_wants_a_token_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "1")
    with pytest.raises(ConfigError, match="must name a token"):
        application(config())


def test_models_are_not_left_to_a_cluster_that_ends_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(sys, "argv", ["serving", "--detach"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "name it in RAY_ADDRESS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"engine": "scripted", "serve": {"replicas_min": 2}}, "replicas_min is 2 and replicas_max 1"),
        ({"engine": "scripted", "serve": {"replica": 2}}, "Extra inputs are not permitted"),
        ({"engine": "openai", "base_url": "x", "model": "y", "serve": {}}, "Extra inputs are not permitted"),
        ({"engine": "vllm", "source": "x", "serve": {"gpus": 1}}, "says its GPUs in `gpus`"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused(model: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        config(models={"tiny": model})


def test_a_model_grows_as_its_config_says() -> None:
    tiny = config(
        models={"tiny": {"engine": "scripted", "serve": {"replicas_min": 0, "replicas_max": 4, "ongoing": 6}}}
    ).models["tiny"]
    assert not isinstance(tiny, OpenAIModel)
    options = scaling(tiny.serve)
    assert options["max_ongoing_requests"] == 12
    assert (options["autoscaling_config"]["min_replicas"], options["autoscaling_config"]["max_replicas"]) == (0, 4)
    assert options["autoscaling_config"]["target_ongoing_requests"] == 6


def test_a_client_of_the_front_asks_each_model_by_its_name() -> None:
    asked = config(serving={"host": "0.0.0.0", "port": 9000, "token_env": "LOUPE_TOKEN"}).through_front()
    model = asked.chat_model("vlm")
    assert isinstance(model, OpenAIModel)
    assert (model.base_url, model.model, model.api_key_env) == ("http://127.0.0.1:9000/v1", "tiny", "LOUPE_TOKEN")


def test_it_needs_vllm_only_where_a_config_asks_for_it() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, serving.app; print('vllm' in sys.modules, 'ray.serve.llm' in sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["False", "False"]
