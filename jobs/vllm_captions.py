"""Captions by vLLM inside the index job's own GPU workers, on ray.data.llm.

    chunks -> a row a frame to caption -> prompts -> vLLM -> replies -> chunks with captions

A chunk that needs no caption travels along as a row that vLLM passes by. Frames come back in any order and are
gathered into their chunks as these become whole, so the stream never waits for the slowest film. The gathering actor
holds chunks in memory alone: should it die, the chunks that it held are not in this run's result, get no marker, and
are done by the next run.
"""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray.data
from loupe.captioning import caption_request, parse_caption
from loupe.config import VllmModel, resolve_source
from loupe.engines.counting import picture_usage
from loupe.engines.parsing import ROOM, Asked
from loupe.engines.protocol import ChatRequest, EngineError, ParseError, Reply, RequestError
from loupe.engines.templating import ChatTemplate, open_template
from loupe.engines.vllm import engine_arguments, placement, structured_outputs
from loupe.indexing import stages
from loupe.indexing.stages import Chunk, Settings
from ray.data.llm import build_processor, vLLMEngineProcessorConfig
from schemas.messages import Usage
from schemas.outputs import FrameCaption

Row = dict[str, Any]
Processor = Callable[[Any], Any]

ERROR = "__inference_error__"
"""Column of ray.data.llm. A row in which it stands is passed by."""
NO_REQUEST = "no request"
AT_FAULT = ("RequestError:", "ValueError:", "VLLMValidationError:")
"""How errors begin that lie in a request: those of `Prompts`, and what vLLM raises for a prompt that it cannot take."""


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


# vLLM


def vllm_processor(model: VllmModel) -> Processor:
    """vLLM as a step of a dataset: rows with a request (`request_row`) gain a reply, to be read by `read_reply`.

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


def request_row(request: ChatRequest, **columns: Any) -> Row:
    """A row that asks vLLM; `columns` come back with the reply."""
    return {"request": pickle.dumps(request), **columns}


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


def read_reply(row: Row) -> Reply:
    """The reply in a row that has no error. vLLM's rows hold no finish reason: a reply of full length was cut."""
    written = int(row["num_generated_tokens"])
    usage = Usage(
        prompt_tokens=int(row["num_input_tokens"]),
        completion_tokens=written,
        images=int(row["images"]),
        pixels=int(row["pixels"]),
    )
    return Reply(row["generated_text"], usage, "length" if written >= row["max_tokens"] else "stop")


READ = ("generated_text", "num_generated_tokens", "num_input_tokens", "max_tokens", "images", "pixels")
"""What `read_reply` needs of a row."""


def _without_prompt(row: Row) -> Row:
    """The columns that came with the request, and the reply's."""
    return {name: value for name, value in row.items() if name in READ or name in COLUMNS}


# Chunks to rows and back

COLUMNS = ("chunk_id", "position", "chunk")
"""What a row says of its place: a chunk's first row, at position -1, holds the chunk and asks for nothing."""


class SplitFrames:
    """1 chunk -> a row with the chunk, and one a frame that needs a caption of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __call__(self, row: Row) -> Iterator[Row]:
        chunk: Chunk = row["chunk"]
        chunk_id = f"{chunk.film.video_id}:{chunk.index}"
        shared: list[int | None] = []
        if not (chunk.unchanged or chunk.failed or chunk.is_captioned):
            try:
                shared = stages.shares(chunk, self.settings)
            except Exception as error:  # noqa: BLE001 - the row boundary
                chunk = chunk.fail("caption", error)
        opened = pickle.dumps(_Open(chunk, tuple(shared)))
        yield {"chunk_id": chunk_id, "position": -1, "chunk": opened, "request": b""}
        tokens = ROOM * self.settings.config.index.caption_tokens  # nobody asks again: all the room at once
        for position, source in enumerate(shared):
            if source is None:
                request = caption_request(chunk.frames[position].jpeg, self.settings.caption_prompt, max_tokens=tokens)
                yield request_row(request, chunk_id=chunk_id, position=position, chunk=b"")


@dataclass
class _Open:
    """A chunk whose replies are still coming in."""

    chunk: Chunk | None = None
    shared: tuple[int | None, ...] = ()
    asked: dict[int, Asked[FrameCaption]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        return self.chunk is not None and len(self.asked) == self.shared.count(None)

    def captioned(self) -> Chunk:
        """The chunk with what was asked for it; failed where vLLM was, or not one frame has a caption."""
        assert self.chunk is not None  # only whole ones are asked
        if not self.shared:
            return self.chunk
        for answer in self.asked.values():
            if isinstance(answer.error, EngineError) and not isinstance(answer.error, RequestError):
                return self.chunk.fail("caption", answer.error)
        return stages.with_captions(self.chunk, self.shared, self.asked)


class GatherChunks:
    """60 rows -> 1 chunk with its captions, as soon as all of its rows have come."""

    def __init__(self) -> None:
        self.open: dict[str, _Open] = {}

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Chunk]]:
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        chunks = [chunk for row in rows if (chunk := self._add(row)) is not None]
        return {"chunk": chunks}

    def _add(self, row: Row) -> Chunk | None:
        """Note a row; gives its chunk if that was the last one."""
        entry = self.open.setdefault(row["chunk_id"], _Open())
        if row["position"] < 0:
            opened: _Open = pickle.loads(row["chunk"])
            entry.chunk, entry.shared = opened.chunk, opened.shared
        else:
            entry.asked[int(row["position"])] = _read(row)
        return self.open.pop(row["chunk_id"]).captioned() if entry.whole else None


def _read(row: Row) -> Asked[FrameCaption]:
    """The caption in a row, or why there is none."""
    if row[ERROR]:
        kind = RequestError if row[ERROR].startswith(AT_FAULT) else EngineError
        return Asked(None, Usage(), 1, kind(row[ERROR]))
    reply = read_reply(row)
    try:
        return Asked(parse_caption(reply), reply.usage, 1)
    except ParseError as error:
        return Asked(None, reply.usage, 1, error)
