"""vLLM in a replica, on ray.serve.llm. Imported only where a config asks for it: it needs vLLM.

The turns of one question share their beginning, so they go to one replica (its prefix cache has it), by consistent
hashing of the request's session. A picture carries a digest as its `uuid`: vLLM neither hashes nor encodes a frame
again that its cache holds.
"""

from typing import Any

from loupe.config import VllmModel, resolve_source
from loupe.engines.counting import picture_usage
from loupe.engines.grammar import compact_json
from loupe.engines.openai import read_completion, request_body
from loupe.engines.protocol import ChatRequest, EngineError, Reply, RequestError
from openai.types.chat import ChatCompletion
from ray.serve.config import RequestRouterConfig
from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter
from ray.serve.llm import LLMConfig, build_llm_deployment
from ray.serve.llm.deployment import LLMServer
from ray.serve.llm.openai_api_models import ChatCompletionRequest, ErrorResponse

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
    """A model of the config as ray.serve.llm has it. `gpus` 0 stands for a CPU; `engine_kwargs` of the model win."""
    engine = {
        "limit_mm_per_prompt": {"image": model.images_per_request, "video": 0},
        "enable_prefix_caching": True,
        "structured_outputs_config": {"backend": "xgrammar"},
        "tensor_parallel_size": max(1, int(model.gpus)),
    } | model.engine_kwargs
    share: Json = {}
    if model.gpus < 1:
        bundle = {"CPU": model.serve.cpus} | ({"GPU": model.gpus} if model.gpus else {})
        share = {"placement_group_config": {"bundles": [bundle]}}
        share["accelerator_config"] = {"kind": "gpu" if model.gpus else "cpu"}
    return LLMConfig(
        model_loading_config={"model_id": name, "model_source": resolve_source(model.source)},
        engine_kwargs=engine,
        accelerator_type=model.accelerator_type,
        runtime_env={"env_vars": model.env} if model.env else None,
        deployment_config={
            **scaling(model.serve),
            "ray_actor_options": {"num_cpus": 0 if share else model.serve.cpus},  # a share has them in its bundle
            "request_router_config": RequestRouterConfig(request_router_class=ConsistentHashRouter),
        },
        log_engine_metrics=False,
        **share,
    )


class VllmReplica(LLMServer):
    """The server of ray.serve.llm, asked as every other replica is."""

    async def answer(self, request: ChatRequest) -> Reply:
        """Answer one request. Raises EngineError where that is not possible."""
        body = chat_body(request, self._llm_config.model_id)
        async for response in await self.chat(ChatCompletionRequest.model_validate(body)):
            return read_response(response, request)
        raise EngineError("vLLM said nothing")


def chat_body(request: ChatRequest, model: str) -> Json:
    """A request in vLLM's words. Raises RequestError for a schema that does not compile."""
    body = request_body(request, model)
    for sent, message in zip(body["messages"], request.messages, strict=True):
        if not isinstance(message.content, str):
            for block, part in zip(sent["content"], message.content, strict=True):
                if part.type == "image":
                    block["uuid"] = part.key
    if request.schema is not None:
        # vLLM would write the schema's JSON with spaces: more tokens, and not what small models were trained on.
        del body["response_format"]
        try:
            body["structured_outputs"] = {"grammar": compact_json(request.schema)}
        except RuntimeError as error:
            raise RequestError(f"the schema cannot be compiled: {error}") from error
    if request.logprobs:
        body["return_token_ids"] = True
    return body


def read_response(response: Any, request: ChatRequest) -> Reply:
    """vLLM's answer as a reply. Raises RequestError where it blames the request, EngineError for any other error."""
    if isinstance(response, ErrorResponse):
        kind = RequestError if response.error.code == 400 else EngineError
        raise kind(response.error.message)
    completion = ChatCompletion.model_validate(response.model_dump())
    return read_completion(completion, request, picture_usage(request))
