"""Serve the models of a config at its own host and port: python -m serving --config C."""

import contextlib
import os
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

import openai
import tyro
from loupe import config as configs
from loupe.config import ConfigError, Serving
from ray import serve
from ray._private import ray_constants

from serving.app import DEMO, application


@dataclass(frozen=True)
class Arguments:
    """Serve the models of a config behind one OpenAI-compatible address."""

    config: str = DEMO
    """YAML file; infra/configs/ has one a kind of machine."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Change one value of the config: --set serving.port=8001"""
    detach: bool = False
    """Return when the models are there, and leave them to the cluster."""


def main() -> None:
    """The command. Exit code 2: the config is refused, and what is served stays as it was."""
    arguments = tyro.cli(Arguments)
    try:
        if arguments.detach and "RAY_ADDRESS" not in os.environ:
            raise ConfigError("--detach leaves the models to a Ray cluster: name it in RAY_ADDRESS")
        config = configs.load(arguments.config, arguments.set)
        app = application(config)
        keep_ray_on_loopback()
        start_serve(config.serving)
    except ConfigError as error:
        print(f"serving: {error}", file=sys.stderr)
        sys.exit(2)
    serve.run(app)
    print(f"{', '.join(models_at(config.serving))} at {config.serving.url}", flush=True)
    if not arguments.detach:
        wait_for_ctrl_c()
        serve.shutdown()


def start_serve(serving: Serving) -> None:
    """Begin to listen. Raises ConfigError where the cluster serves at another address: it has one, and one config."""
    served = serve.status().applications
    serve.start(http_options={"host": serving.host, "port": serving.port})
    if served and not is_heard(serving):
        raise ConfigError(
            f"this cluster serves already, and not at {serving.url}: a cluster serves one config at one address. "
            "Serve at that address to replace it, or end it first (serve shutdown)"
        )


def is_heard(serving: Serving) -> bool:
    """Whether somebody listens at the address."""
    address = urlsplit(serving.url)
    try:
        socket.create_connection((address.hostname, serving.port), timeout=10).close()
    except OSError:
        return False
    return True


def keep_ray_on_loopback() -> None:
    """Find a cluster by the loopback address that it listens on, and start one, where there is none, on that alone."""
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # for the processes of a cluster that is started,
    ray_constants.ENABLE_RAY_CLUSTER = False  # and for this one, which read it when it imported Ray


def models_at(serving: Serving) -> list[str]:
    """The names that the front gives when it is asked what it serves. Raises openai.OpenAIError where it does not."""
    token = os.environ.get(serving.token_env, "") if serving.token_env else ""
    with openai.OpenAI(base_url=serving.url, api_key=token or "none") as front:
        return [model.id for model in front.models.list()]


def wait_for_ctrl_c() -> None:
    """Return when somebody presses it."""
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


if __name__ == "__main__":
    main()
