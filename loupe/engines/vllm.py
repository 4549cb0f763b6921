"""What vLLM is told of a model and of a request, in a job and behind the front alike; vLLM itself is not imported."""

from typing import Any

from loupe.config import VllmModel
from loupe.engines.grammar import compact_json

Json = dict[str, Any]


def engine_arguments(model: VllmModel) -> Json:
    """Arguments of vLLM's engine. Whole `gpus` become tensor parallelism; `engine_kwargs` of the model win."""
    return {
        "limit_mm_per_prompt": {"image": model.images_per_request, "video": 0},
        "enable_prefix_caching": True,
        "structured_outputs_config": {"backend": "xgrammar"},
        "tensor_parallel_size": max(1, int(model.gpus)),
    } | model.engine_kwargs


def placement(model: VllmModel, cpus: float) -> Json | None:
    """The placement group of a replica with less than a GPU, 0 standing for a CPU; None for one with whole GPUs."""
    if model.gpus >= 1:
        return None
    return {"bundles": [{"CPU": cpus} | ({"GPU": model.gpus} if model.gpus else {})]}


def structured_outputs(schema: Json) -> Json:
    """A schema as vLLM's structured output. Raises RuntimeError for one that does not compile.

    As a grammar: of the schema itself vLLM would write JSON with spaces, more tokens and not what small models were
    trained on.
    """
    return {"grammar": compact_json(schema)}
