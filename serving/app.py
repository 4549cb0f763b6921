"""A Serve application from a config: a deployment for each model with an engine here, and one front for all.

client -> front (OpenAI API) -> deployment of the model, 0 to n replicas
                             -> the model's own address (engine: openai)

serve run serving.app:build_app config=infra/configs/demo.yaml
python -m serving --config infra/configs/demo.yaml         the same, bound to the config's host and port
serve build serving.app:app -o serve.yaml                  of the config that LOUPE_CONFIG names
serve deploy serve.yaml
"""

import os
from typing import Any

from loupe import config as configs
from loupe.config import Config, EmbedderModel, HereModel, OpenAIModel, VllmModel, share_of_gpus
from loupe.engines.open import open_engine
from pydantic import BaseModel, ConfigDict
from ray import serve

from serving.front import Voices, build_front
from serving.guarding import token_digest
from serving.replicas import ChatReplica, Deployed, EmbeddingReplica
from serving.scaling import deployment_name, scaling

DEMO = "infra/configs/demo.yaml"
FRONT_REQUESTS = 4096
"""That one front holds: it only waits for models."""


class Arguments(BaseModel):
    """What `serve run` and a deploy file may say."""

    model_config = ConfigDict(extra="forbid")

    config: str = DEMO


def build_app(arguments: Arguments) -> Any:
    """The application of a config file. Raises ConfigError with a sentence."""
    return application(configs.load(arguments.config))


def __getattr__(name: str) -> Any:
    """`app`, for `serve build`, which calls no function: the application of the file that LOUPE_CONFIG names."""
    if name != "app":
        raise AttributeError(name)
    return build_app(Arguments(config=os.environ.get("LOUPE_CONFIG", DEMO)))


def application(config: Config) -> Any:
    """The application of a config. Raises ConfigError where a token is wanted and not there."""
    token = token_digest(config.serving)
    models = {name: model for name, model in config.models.items() if isinstance(model, HereModel)}
    deployed = {name: deployment(name, model) for name, model in models.items()}
    front = serve.deployment(
        Front,
        name="front",
        num_replicas=config.serving.replicas,
        max_ongoing_requests=FRONT_REQUESTS,
        ray_actor_options={"num_cpus": config.serving.cpus},
    )
    return front.bind(config, deployed, token)


def deployment(name: str, model: HereModel) -> Any:
    """The deployment of a model, bound."""
    if isinstance(model, VllmModel):
        from serving.vllm import vllm_deployment  # needs vLLM, which most machines lack

        return vllm_deployment(name, model)
    replica = EmbeddingReplica if isinstance(model, EmbedderModel) else ChatReplica
    actor: dict[str, Any] = {"num_cpus": model.serve.cpus, **share_of_gpus(model.serve.gpus)}
    if model.serve.accelerator_type:
        actor["accelerator_type"] = model.serve.accelerator_type
    return serve.deployment(replica, name=deployment_name(name), ray_actor_options=actor, **scaling(model.serve)).bind(
        model
    )


@serve.ingress()
class Front:
    """The ASGI app of serving.front, around the deployments and the addresses of a config."""

    def __init__(self, config: Config, handles: dict[str, Any], token: str | None) -> None:
        embedders = {name for name, model in config.models.items() if isinstance(model, EmbedderModel)}
        deployed = {name: Deployed(name, handle) for name, handle in handles.items()}
        addresses = {name: open_engine(m) for name, m in config.models.items() if isinstance(m, OpenAIModel)}
        voices = Voices(
            chat={name: voice for name, voice in deployed.items() if name not in embedders} | addresses,
            embedding={name: voice for name, voice in deployed.items() if name in embedders},
            roles={str(role): name for role, name in config.roles.items()},
        )
        self._front = build_front(voices, config.serving, token)

    async def __serve_build_asgi_app__(self) -> Any:
        return self._front
