"""What the jobs need of Ray: a cluster to run on, pools of actors, lines that are read while a job runs."""

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import ray
import ray.data
from loupe.config import Actors, ConfigError, share_of_gpus
from ray._private import ray_constants

DEATHS = 3
"""Of an actor, before the job ends."""
COPIES = "working_dir_files"
"""Ray's folder of copies: it runs what `ray job submit --working-dir` sent in one, and deletes it some time after."""


def connect_ray() -> None:
    """Join the cluster that the environment names, or start one in this process; never listen to the outside."""
    if not ray.is_initialized():
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's servers then bind to loopback alone,
        ray_constants.ENABLE_RAY_CLUSTER = False  # and this process, which read it when it imported Ray
        with warnings.catch_warnings():  # Ray forks only to start programs: nothing of Lance runs in the fork
            warnings.filterwarnings("ignore", message=".*fork")
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    quieten_plans()
    data = ray.data.DataContext.get_current()
    data.actor_init_retry_on_errors = True  # an engine that fails to boot is tried again,
    data.actor_init_max_retries = DEATHS  # and not for ever
    data.max_consecutive_actor_init_deaths = DEATHS
    data.enable_progress_bars = sys.stderr.isatty()
    data.enable_fallback_to_arrow_object_ext_type = True  # rows hold objects of Python: without a warning
    data.issue_detectors_config.detectors = []  # their advice is printed over the job's own lines


def quieten_plans() -> None:
    """Keep Ray Data's plans and its advice about progress bars in its file, and off the terminal."""
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":
            handler.setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)


def lasting(place: str) -> str:
    """An absolute place that a job writes to, as it is. Raises ConfigError where nobody would find it after the job."""
    if COPIES in Path(place).parts:
        raise ConfigError(
            f"{Path(place).name} would be lost: a submitted job runs in Ray's own copy of the folder. "
            "Name an absolute path, or s3://bucket/prefix"
        )
    return place


def pool(stage: Actors, *arguments: Any) -> dict[str, Any]:
    """Arguments of a Ray Data stage that holds something open: a class that is made with `arguments`."""
    return {
        "fn_constructor_args": arguments,
        "num_cpus": stage.cpus,
        **share_of_gpus(stage.gpus),
        "compute": ray.data.ActorPoolStrategy(min_size=stage.actors_min, max_size=stage.actors_max),
    }


def tasks(stage: Actors) -> dict[str, Any]:
    """Arguments of a Ray Data stage that is a function and holds nothing open."""
    return {"num_cpus": stage.cpus, "compute": ray.data.TaskPoolStrategy(size=stage.actors_max)}


def async_pool(stage: Actors, in_flight: int, *arguments: Any) -> dict[str, Any]:
    """The same for a stage whose actors work on so many rows at a time."""
    compute = ray.data.ActorPoolStrategy(
        min_size=stage.actors_min,
        max_size=stage.actors_max,
        max_tasks_in_flight_per_actor=in_flight + 1,
        max_concurrent_calls_per_actor=in_flight,
    )
    return pool(stage, *arguments) | {"compute": compute}


def say(line: str) -> None:
    """Print a line at once: the output of a Ray job is read while it runs."""
    print(line, flush=True)
