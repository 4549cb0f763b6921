"""Captions by vLLM inside the index job's own GPU workers, on ray.data.llm.

    chunks -> a row a frame to caption -> prompts -> vLLM -> replies -> chunks with captions

What a row holds, and how rows become chunks again: `loupe/indexing/frame_rows.py`.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray.data
from loupe.config import VllmModel, resolve_source
from loupe.engines.counting import picture_usage
from loupe.engines.protocol import ChatRequest
from loupe.engines.templating import ChatTemplate, open_template
from loupe.engines.vllm import engine_arguments, placement, structured_outputs
from loupe.indexing.frame_rows import COLUMNS, ERROR, REPLY, GatherChunks, Row, SplitFrames
from loupe.indexing.stages import Settings
from ray.data.llm import build_processor, vLLMEngineProcessorConfig

Processor = Callable[[Any], Any]
NO_REQUEST = "no request"


def caption_with_vllm(chunks: Any, settings: Settings) -> Any:
    """Add a caption to every frame of a dataset of {"chunk": Chunk} that needs one."""
    model = settings.config.chat_model("captioner")
    assert isinstance(model, VllmModel)  # the caller chose by this
    return caption_with(chunks, settings, vllm_processor(model))


def caption_with(chunks: Any, settings: Settings, processor: Processor) -> Any:
    """The same with any processor that answers rows as `vllm_processor` does."""
    rows = chunks.flat_map(SplitFrames, fn_constructor_args=(settings,), num_cpus=0.5, compute=actors(1, 4))  # 1 -> 60
    answered = processor(rows)  # 1 -> 1, adds a reply or an error
    return answered.map_batches(  # 60 -> 1
        GatherChunks, num_cpus=0.5, compute=actors(1, 1), batch_size=64
    )


def actors(least: int, most: int) -> ray.data.ActorPoolStrategy:
    """An actor pool that grows."""
    return ray.data.ActorPoolStrategy(min_size=least, max_size=most)


def vllm_processor(model: VllmModel) -> Processor:
    """vLLM as a step of a dataset: rows with a request (`request_row`) gain a reply (`read_reply`).

    The engine renders nothing and loads no second copy of the tokenizer: prompts come ready from `Prompts`.
    """
    source = resolve_source(model.source)
    processor: Processor = build_processor(
        engine_config(model), preprocess=Prompts(open_template(source, sees=True)), postprocess=_without_prompt
    )
    return processor


def engine_config(model: VllmModel) -> vLLMEngineProcessorConfig:
    """The processor's config. A request that fails becomes a row with an error.

    Pictures never repeat while indexing, so vLLM's cache of them is off; the instructions do, so prefix caching is on.
    """
    return vLLMEngineProcessorConfig(
        model_source=resolve_source(model.source),
        engine_kwargs={"mm_processor_cache_gb": 0} | engine_arguments(model),
        accelerator_type=model.accelerator_type,
        concurrency=model.replicas,
        batch_size=model.batch_size,
        placement_group_config=placement(model, 1.0),
        runtime_env={"env_vars": model.env} if model.env else None,
        should_continue_on_error=True,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        log_engine_metrics=False,
    )


@dataclass(frozen=True)
class Prompts:
    """Rows with a request -> rows as ray.data.llm wants them."""

    template: ChatTemplate

    def __call__(self, row: Row) -> Row:
        if not row["request"]:
            return {**row, ERROR: NO_REQUEST}
        request: ChatRequest = pickle.loads(row["request"])
        columns = {name: value for name, value in row.items() if name != "request"}
        try:
            prompt = self.template.render(request)
            pictures = picture_usage(request)
        except Exception as error:  # noqa: BLE001 - the row boundary
            return {**columns, ERROR: f"{type(error).__name__}: {error}"}
        return {
            **columns,
            "prompt": prompt.text,
            "multimodal_data": {"image": prompt.pictures} if prompt.pictures else None,
            "sampling_params": sampling_params(request),
            "max_tokens": request.max_tokens,
            "images": pictures.images,
            "pixels": pictures.pixels,
        }


def sampling_params(request: ChatRequest) -> Row:
    """A request's limits as vLLM's SamplingParams, with its schema as structured output."""
    params: Row = {"max_tokens": request.max_tokens, "temperature": request.temperature}
    if request.logprobs:
        params["logprobs"] = 0  # that of the token that was drawn
    if request.schema is not None:
        params["structured_outputs"] = structured_outputs(request.schema)
    return params


def _without_prompt(row: Row) -> Row:
    """The columns that came with the request, and the reply's."""
    return {name: value for name, value in row.items() if name in REPLY or name in COLUMNS}
