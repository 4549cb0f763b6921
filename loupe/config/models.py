"""The models of a config: where each runs, how fast, and at what price; and the roles that they may have."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from loupe.config.section import Section

Role = Literal["captioner", "summarizer", "embedder", "reasoner", "vlm", "critic", "critic_vlm", "transcriber"]


class Price(Section):
    """US dollars for a million tokens, or for a minute of sound."""

    prompt: float = Field(default=0.0, ge=0)
    """For a million tokens of prompts."""
    completion: float = Field(default=0.0, ge=0)
    """For a million tokens that were written."""
    minute: float = Field(default=0.0, ge=0)
    """For a minute of sound, where the model is the transcriber."""


class Model(Section):
    """What every model has, whatever its engine."""

    price: Price = Price()
    """What it costs: plans, reports and budgets count by it."""


class Serve(Section):
    """How Ray Serve runs a model that has an engine here: one deployment, which grows with what is asked of it."""

    replicas_min: int = Field(default=1, ge=0)
    """0: nothing is held while nobody asks; the first question then waits for a replica to start."""
    replicas_max: int = Field(default=1, ge=1)
    """Replicas, at most."""
    ongoing: int = Field(default=8, ge=1)
    """Requests at work in a replica that scaling aims for; a replica takes twice as many before they queue."""
    queue: int = Field(default=1024, ge=1)
    """Requests that may wait for a replica; those beyond are refused with status 429."""
    cpus: float = Field(default=1, ge=0)
    """Cores of one replica."""
    gpus: float = Field(default=0, ge=0)
    """GPUs of one replica; an engine vllm says its own."""
    accelerator_type: str | None = None
    """Where replicas are placed, as Ray names it: H200."""
    upscale_s: float = Field(default=5, ge=0)
    """Seconds of too much work before a replica is added."""
    downscale_s: float = Field(default=300, ge=0)
    """Seconds of too little work before a replica is drained."""
    drain_s: float = Field(default=120, ge=0)
    """Seconds that a replica may take to finish its requests before it is ended."""

    @model_validator(mode="after")
    def _min_is_not_above_max(self) -> "Serve":
        if self.replicas_min > self.replicas_max:
            raise ValueError(f"replicas_min is {self.replicas_min} and replicas_max {self.replicas_max}")
        return self


class HereModel(Model):
    """A model with an engine here, in a worker of a job or behind Ray Serve."""

    serve: Serve = Serve()
    """How Ray Serve runs it, where it is served."""


class LocalModel(HereModel):
    """A Hugging Face model that runs in the worker's own process."""

    engine: Literal["local"]
    source: str
    """A hub id, a folder, or package:NAME for what an installed package carries."""
    max_batch: int = Field(default=16, ge=1)
    """Requests that are computed together, at most."""
    threads: int | None = Field(default=None, ge=1)
    """Of PyTorch; None: as many as it takes by itself."""
    device: str = "auto"
    """auto: the GPU that the worker has, else its cores; or a device of PyTorch."""
    dtype: str = "auto"
    """auto: as the weights are on a GPU, float32 on a CPU; or a type of PyTorch."""


class OpenAIModel(Model):
    """A model behind any OpenAI-compatible address."""

    engine: Literal["openai"]
    base_url: str
    """Of the API, with its /v1."""
    model: str
    """As the address names it."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable with the key; empty where the address wants none."""
    concurrency: int = Field(default=32, ge=1)
    """Requests of one process at work at a time."""
    timeout_s: float = Field(default=120, gt=0)
    """Until a try is given up."""
    max_retries: int = Field(default=6, ge=0)
    """Tries after the first, where the server failed or was not there."""
    first_wait_s: float = Field(default=1.0, gt=0)
    """Before the first retry, at most; it doubles with each, up to a minute. A server that asks for more gets it."""
    patience_s: float = Field(default=600, ge=0, le=86_400)
    """Seconds that a busy server (429, or an error with Retry-After) is asked again, whatever max_retries says."""
    extra_body: dict[str, Any] = Field(default={})
    """Goes into every request, and wins over what stands there: top_logprobs: 5, where the address tells no 20."""


class VllmModel(HereModel):
    """A model that vLLM runs on the cluster's GPU workers: through ray.data.llm in a job, ray.serve.llm when served."""

    engine: Literal["vllm"]
    source: str
    """A hub id, or a folder that every worker reaches."""
    replicas: int = Field(default=1, ge=1)
    """In a job: engines beside each other, at most."""
    gpus: float = Field(default=1, ge=0)
    """GPUs of one engine, by which its tensors are split."""
    accelerator_type: str | None = None
    """Where engines are placed, as Ray names it: H200."""
    batch_size: int = Field(default=64, ge=1)
    """In a job: requests that an engine is handed at a time."""
    images_per_request: int = Field(default=1, ge=1)
    """Pictures of one prompt, at most."""
    engine_kwargs: dict[str, Any] = Field(default={})
    """Arguments of vLLM's own engine: tensor_parallel_size, max_model_len, gpu_memory_utilization ..."""
    env: dict[str, str] = Field(default={})
    """Environment variables of the engine's workers."""

    @model_validator(mode="after")
    def _gpus_are_said_once(self) -> "VllmModel":
        if self.serve.gpus or self.serve.accelerator_type:
            raise ValueError("a vllm model says its GPUs in `gpus` and `accelerator_type`, not under `serve`")
        return self


class ScriptedModel(HereModel):
    """No model: a rule that answers by code, for tests of everything around it."""

    engine: Literal["scripted"]
    source: str = "digest"
    """The rule: digest, or what a test puts there."""


class FieldsModel(HereModel):
    """No model: summaries put together from the fields that captions name."""

    engine: Literal["fields"]


class EmbeddingModel(HereModel):
    """A sentence-transformers model; `package:NAME` takes the one that an installed package carries."""

    engine: Literal["sentence-transformers"]
    source: str
    """A hub id, a folder, or package:NAME for what an installed package carries."""
    device: str = "auto"
    """auto: the GPU that the worker has, else its cores; or a device of PyTorch."""
    batch_size: int = Field(default=64, ge=1)
    """Texts that are computed together."""
    query_prefix: str = ""
    """Stands before what is searched for, where the model was taught so."""


class HashingModel(HereModel):
    """No model: words hashed into numbers, for tests of everything around an embedder."""

    engine: Literal["hashing"]
    source: str = "words"
    """words: there is no other."""
    dimensions: int = Field(default=64, ge=2)
    """Of a vector."""


class WhisperModel(Model):
    """A Hugging Face speech model of Whisper's architecture that runs in the worker's own process."""

    engine: Literal["whisper"]
    source: str
    """A hub id, a folder, or package:NAME for what an installed package carries."""
    max_batch: int = Field(default=8, ge=1)
    """Stretches of speech that are computed together, at most."""
    threads: int | None = Field(default=None, ge=1)
    """Of PyTorch; None: as many as it takes by itself."""
    device: str = "auto"
    """auto: the GPU that the worker has, else its cores; or a device of PyTorch."""
    dtype: str = "auto"
    """auto: as the weights are on a GPU, float32 on a CPU; or a type of PyTorch."""
    language: str | None = None
    """As Whisper calls it ("en"); None lets the model find out."""


class FasterWhisperModel(Model):
    """A model of the package faster-whisper (pip install loupe[speech]) in the worker's own process."""

    engine: Literal["faster-whisper"]
    source: str
    """A size (large-v3), a hub id, or a folder."""
    device: str = "auto"
    """auto, cpu or cuda."""
    compute_type: str = "default"
    """As CTranslate2 names it: int8, float16."""
    threads: int = Field(default=0, ge=0)
    """0: as many as faster-whisper takes by itself."""
    language: str | None = None
    """As Whisper calls it ("en"); None lets the model find out."""


EmbedderModel = EmbeddingModel | HashingModel
ChatModel = LocalModel | OpenAIModel | VllmModel | ScriptedModel | FieldsModel
OnlyHears = WhisperModel | FasterWhisperModel
SpeechModel = OnlyHears | OpenAIModel | ScriptedModel
"""What can be the transcriber."""
AnyModel = Annotated[ChatModel | EmbedderModel | OnlyHears, Field(discriminator="engine")]

OF_A_MODEL = {
    "engine", "source", "model", "extra_body", "dtype", "engine_kwargs", "query_prefix", "dimensions", "compute_type",
    "language",
}  # fmt: skip
"""What decides about a model's replies; the rest says where and how fast it runs, and what it costs."""

SPEED_OF_VLLM = {
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "data_parallel_size_local",
    "data_parallel_backend", "enable_expert_parallel", "distributed_executor_backend", "mm_encoder_tp_mode",
    "max_parallel_loading_workers", "gpu_memory_utilization", "kv_cache_memory_bytes", "num_gpu_blocks_override",
    "block_size", "swap_space", "cpu_offload_gb", "kv_offloading_size", "kv_offloading_backend", "max_num_seqs",
    "max_num_batched_tokens", "enable_chunked_prefill", "async_scheduling", "scheduling_policy", "stream_interval",
    "enable_prefix_caching", "prefix_caching_hash_algo", "mm_processor_cache_gb", "mm_processor_cache_type",
    "renderer_num_workers", "skip_mm_profiling", "enforce_eager", "compilation_config", "cudagraph_capture_sizes",
    "max_cudagraph_capture_size", "optimization_level", "performance_mode", "disable_custom_all_reduce",
    "load_format", "download_dir", "use_tqdm_on_load", "disable_log_stats",
}  # fmt: skip
"""Of `engine_kwargs`, what says the same of vLLM: its memory, its share of the machine, its batches and caches."""
