"""Serve the models of a config at its own host and port: python -m serving --config C."""

import contextlib
import sys
import threading
from dataclasses import dataclass
from typing import Annotated

import tyro
from loupe import config as configs
from loupe.config import ConfigError
from ray import serve

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
    """The command. Exit code 2: the config is refused and nothing was begun."""
    arguments = tyro.cli(Arguments)
    try:
        config = configs.load(arguments.config, arguments.set)
        app = application(config)
    except ConfigError as error:
        print(f"serving: {error}", file=sys.stderr)
        sys.exit(2)
    serve.start(http_options={"host": config.serving.host, "port": config.serving.port})
    serve.run(app)
    print(f"Models are served at {config.serving.url}", flush=True)
    if not arguments.detach:
        wait_for_ctrl_c()
        serve.shutdown()


def wait_for_ctrl_c() -> None:
    """Return when somebody presses it."""
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


if __name__ == "__main__":
    main()
