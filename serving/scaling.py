"""A config's settings of a deployment, as Ray Serve's options."""

from typing import Any

from loupe.config import Serve

LOOK_BACK_S = 11
"""That the number of requests is averaged over: a little more than the 10 s after which it is measured again."""


def scaling(settings: Serve) -> dict[str, Any]:
    """Serve's options for how a deployment grows, queues, and lets its replicas go."""
    return {
        "max_ongoing_requests": 2 * settings.ongoing,
        "max_queued_requests": settings.queue,
        "graceful_shutdown_timeout_s": settings.drain_s,
        "autoscaling_config": {
            "min_replicas": settings.replicas_min,
            "max_replicas": settings.replicas_max,
            "target_ongoing_requests": settings.ongoing,
            "upscale_delay_s": settings.upscale_s,
            "downscale_delay_s": settings.downscale_s,
            "look_back_period_s": LOOK_BACK_S,
        },
    }


def deployment_name(model: str) -> str:
    """The name of a model's deployment, which also becomes that of a log file."""
    return model.replace("/", "--")
