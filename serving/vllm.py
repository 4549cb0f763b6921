"""vLLM in a replica, on ray.serve.llm. Imported only where a config asks for it: it needs vLLM.

The turns of one question share their beginning, so they go to one replica (its prefix cache has it), by consistent
hashing of the request's session. A picture carries a digest as its `uuid`: vLLM neither hashes nor encodes a frame
again that its cache holds.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from loupe.config import VllmModel, resolve_source
from loupe.engines.counting import picture_usage
from loupe.engines.openai import of_tokens, read_completion, request_body
from loupe.engines.protocol import ChatRequest, EngineError, Reply, RequestError
from loupe.engines.templating import ChatTemplate, open_template
from loupe.engines.vllm import engine_arguments, placement, structured_outputs
from openai.types.chat import ChatCompletion, ChatCompletionTokenLogprob
from ray.serve.config import RequestRouterConfig
from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter
from ray.serve.llm import LLMConfig, build_llm_deployment
from ray.serve.llm.deployment import LLMServer
from ray.serve.llm.openai_api_models import ChatCompletionRequest
from schemas.messages import Image, Text, Usage

from serving.scaling import deployment_name, scaling

Json = dict[str, Any]


def vllm_deployment(name: str, model: VllmModel) -> Any:
    """The deployment of a model, bound."""
    return build_llm_deployment(
        llm_config(name, model),
        deployment_cls=VllmReplica,
        override_serve_options={"name": deployment_name(name)},
    )


def llm_config(name: str, model: VllmModel) -> LLMConfig:
    """A model of the config as ray.serve.llm has it."""
    share: Json = {}
    if group := placement(model, model.serve.cpus):
        share = {"placement_group_config": group, "accelerator_config": {"kind": "gpu" if model.gpus else "cpu"}}
    return LLMConfig(
        model_loading_config={"model_id": name, "model_source": resolve_source(model.source)},
        engine_kwargs=engine_arguments(model),
        accelerator_type=model.accelerator_type,
        runtime_env={"env_vars": model.env} if model.env else None,
        deployment_config={
            **scaling(model.serve),
            "ray_actor_options": {"num_cpus": 0 if share else model.serve.cpus},  # a share has them in its bundle
            "request_router_config": RequestRouterConfig(request_router_class=ConsistentHashRouter),
        },
        experimental_configs={"stream_batching_interval_ms": 0},  # its default holds every token back
        log_engine_metrics=False,
        **share,
    )


class VllmReplica(LLMServer):
    """The server of ray.serve.llm, asked as every other replica is."""

    async def start(self) -> None:
        """Start vLLM; ray.serve.llm calls this once."""
        self._template = open_template(self._llm_config.model_loading_config.model_source, sees=False)
        await super().start()

    async def answer(self, request: ChatRequest) -> Reply:
        """Answer one request. Raises EngineError where that is not possible."""
        async for response in await self._ask(request):
            return read_completion(
                ChatCompletion.model_validate(response.model_dump()), request, picture_usage(request)
            )
        raise EngineError("vLLM said nothing")

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | Reply, None]:
        """The text in pieces, and the reply at the end. Raises as `answer` does."""
        heard = Heard()
        async for events in await self._ask(request, stream=True, stream_options={"include_usage": True}):
            for event in events:
                if text := heard.add(event):
                    yield text
        yield heard.reply(picture_usage(request))

    async def _ask(self, request: ChatRequest, **more: Any) -> AsyncIterator[Any]:
        """vLLM's responses, or lists of its events. Raises what it says instead of an answer."""
        body = chat_body(request, self._llm_config.model_id, self._template) | more
        return _without_errors(await self.chat(ChatCompletionRequest.model_validate(body)))


def chat_body(request: ChatRequest, model: str, template: ChatTemplate) -> Json:
    """A request in vLLM's words. Raises RequestError for a schema that does not compile.

    Control tokens inside messages are broken here: vLLM would take them for what they say.
    """
    body = request_body(request, model)
    for sent, message in zip(body["messages"], request.messages, strict=True):
        if isinstance(message.content, str):
            sent["content"] = template.without_control(message.content)
            continue
        for block, part in zip(sent["content"], message.content, strict=True):
            if isinstance(part, Image):
                block["uuid"] = part.key
            elif isinstance(part, Text):
                block["text"] = template.without_control(part.text)
    if request.schema is not None:
        del body["response_format"]
        try:
            body["structured_outputs"] = structured_outputs(request.schema)
        except RuntimeError as error:
            raise RequestError(f"the schema cannot be compiled: {error}") from error
    if request.logprobs:
        body["return_token_ids"] = True
    return body


async def _without_errors(responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for response in responses:
        for one in response if isinstance(response, list) else [response]:
            if error := getattr(one, "error", None):
                raise (RequestError if error.code == 400 else EngineError)(error.message)
        yield response


@dataclass
class Heard:
    """A reply that comes in server-sent events."""

    text: str = ""
    finish_reason: str = ""
    logprobs: list[Json] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    usage: Usage = Usage()

    def add(self, event: str) -> str:
        """Note an event; gives the text that it adds. Raises EngineError for one that is an error."""
        data = event.strip().removeprefix("data: ")
        if data == "[DONE]":
            return ""
        chunk = json.loads(data)
        if "error" in chunk:
            raise EngineError(chunk["error"]["message"])
        if used := chunk.get("usage"):
            self.usage = Usage(
                prompt_tokens=used["prompt_tokens"], completion_tokens=used.get("completion_tokens") or 0
            )
        said = ""
        for choice in chunk["choices"]:
            said += choice["delta"].get("content") or ""
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            self.logprobs += (choice.get("logprobs") or {}).get("content") or []
            self.token_ids += choice.get("token_ids") or []
        self.text += said
        return said

    def reply(self, pictures: Usage) -> Reply:
        """The reply, when all events have come."""
        return Reply(
            text=self.text,
            usage=pictures + self.usage,
            finish_reason=self.finish_reason,
            token_ids=tuple(self.token_ids) or None,
            **of_tokens([ChatCompletionTokenLogprob.model_validate(token) for token in self.logprobs]),
        )
