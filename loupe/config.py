"""YAML and dotted overrides become one frozen config. Environment variables carry secrets only.

`models:` names every model with its engine; `roles:` says which model does what. Several roles may share a model.
"""

import hashlib
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.messages import Usage

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds `loupe/`, `jobs/` and `infra/`: relative paths of a config start here."""

Role = Literal["captioner", "summarizer", "embedder", "reasoner", "vlm", "critic", "critic_vlm", "transcriber"]


class ConfigError(Exception):
    """A config that cannot be used; the message is for the person who wrote it."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(Section):
    """US dollars for a million tokens."""

    prompt: float = Field(default=0.0, ge=0)
    completion: float = Field(default=0.0, ge=0)


class Model(Section):
    """What every model has, whatever its engine."""

    price: Price = Price()


class Serve(Section):
    """How Ray Serve runs a model that has an engine here: one deployment, which grows with what is asked of it."""

    replicas_min: int = Field(default=1, ge=0)
    """0: nothing is held while nobody asks; the first question then waits for a replica to start."""
    replicas_max: int = Field(default=1, ge=1)
    ongoing: int = Field(default=8, ge=1)
    """Requests at work in a replica that scaling aims for; a replica takes twice as many before they queue."""
    queue: int = Field(default=1024, ge=1)
    """Requests that may wait for a replica; those beyond are refused with status 429."""
    cpus: float = Field(default=1, ge=0)
    gpus: float = Field(default=0, ge=0)
    accelerator_type: str | None = None
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


class LocalModel(HereModel):
    """A Hugging Face model that runs in the worker's own process."""

    engine: Literal["local"]
    source: str
    max_batch: int = Field(default=16, ge=1)
    threads: int | None = Field(default=None, ge=1)
    device: str = "auto"
    dtype: str = "auto"


class OpenAIModel(Model):
    """A model behind any OpenAI-compatible address."""

    engine: Literal["openai"]
    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = Field(default=32, ge=1)
    timeout_s: float = Field(default=120, gt=0)
    max_retries: int = Field(default=6, ge=0)
    first_wait_s: float = Field(default=1.0, gt=0)
    """Before the first retry, at most; it doubles with each."""
    extra_body: dict[str, Any] = {}


class VllmModel(HereModel):
    """A model that vLLM runs on the cluster's GPU workers: through ray.data.llm in a job, ray.serve.llm when served."""

    engine: Literal["vllm"]
    source: str
    replicas: int = Field(default=1, ge=1)
    gpus: float = Field(default=1, ge=0)
    accelerator_type: str | None = None
    batch_size: int = Field(default=64, ge=1)
    images_per_request: int = Field(default=1, ge=1)
    engine_kwargs: dict[str, Any] = {}
    """Arguments of vLLM's own engine: tensor_parallel_size, max_model_len, gpu_memory_utilization ..."""
    env: dict[str, str] = {}

    @model_validator(mode="after")
    def _gpus_are_said_once(self) -> "VllmModel":
        if self.serve.gpus or self.serve.accelerator_type:
            raise ValueError("a vllm model says its GPUs in `gpus` and `accelerator_type`, not under `serve`")
        return self


class ScriptedModel(HereModel):
    """No model: a rule that answers by code, for tests of everything around it."""

    engine: Literal["scripted"]
    source: str = "digest"


class FieldsModel(HereModel):
    """No model: summaries put together from the fields that captions name."""

    engine: Literal["fields"]


class EmbeddingModel(HereModel):
    """A sentence-transformers model; `package:NAME` takes the one that an installed package carries."""

    engine: Literal["sentence-transformers"]
    source: str
    device: str = "auto"
    batch_size: int = Field(default=64, ge=1)
    query_prefix: str = ""


class HashingModel(HereModel):
    """No model: words hashed into numbers, for tests of everything around an embedder."""

    engine: Literal["hashing"]
    source: str = "words"
    dimensions: int = Field(default=64, ge=2)


class WhisperModel(Model):
    """A Hugging Face speech model of Whisper's architecture that runs in the worker's own process."""

    engine: Literal["whisper"]
    source: str
    max_batch: int = Field(default=8, ge=1)
    threads: int | None = Field(default=None, ge=1)
    device: str = "auto"
    dtype: str = "auto"
    language: str | None = None
    """As Whisper calls it ("en"); None lets the model find out. So it is in the next one."""


class FasterWhisperModel(Model):
    """A model of the package faster-whisper (pip install loupe[speech]) in the worker's own process."""

    engine: Literal["faster-whisper"]
    source: str
    device: str = "auto"
    compute_type: str = "default"
    threads: int = Field(default=0, ge=0)
    """0: as many as faster-whisper takes by itself."""
    language: str | None = None


EmbedderModel = EmbeddingModel | HashingModel
ChatModel = LocalModel | OpenAIModel | VllmModel | ScriptedModel | FieldsModel
OnlyHears = WhisperModel | FasterWhisperModel
SpeechModel = OnlyHears | OpenAIModel | ScriptedModel
"""What can be the transcriber."""
AnyModel = Annotated[ChatModel | EmbedderModel | OnlyHears, Field(discriminator="engine")]


class Actors(Section):
    """What the actors of a job's stage may take of the cluster."""

    cpus: float = Field(default=1.0, ge=0)
    """Of one actor, as are the GPUs."""
    gpus: float = Field(default=0.0, ge=0)
    actors_min: int = Field(default=1, ge=1)
    actors_max: int = Field(default=1, ge=1)


class Stage(Actors):
    """One stage of the index job."""

    chunks_in_flight: int = Field(default=2, ge=1)
    """Chunks that one actor works on at a time (describe; films: finish), or that one call takes (store)."""


class Stages(Section):
    """The stages of the index job, in the order in which a chunk passes them."""

    split: Stage = Stage(cpus=0.25, actors_max=4)
    """Of films, in tasks that share processes: at most `actors_max` at a time."""
    sample: Stage = Stage(cpus=1, actors_max=64)
    transcribe: Stage = Stage(cpus=1, chunks_in_flight=2)
    describe: Stage = Stage(cpus=1, chunks_in_flight=4)
    store: Stage = Stage(cpus=0.5, chunks_in_flight=16)
    finish: Stage = Stage(cpus=0.25, chunks_in_flight=16)
    """A film's summary and logs, once its chunks are stored. Its `actors_max` actors are opened while chunks are on
    their way, and hold their share until the job ends: a GPU only where it is said here."""


class Toytown(Section):
    """Films that the job makes itself where the library is not there yet: the demo's."""

    films: int = Field(default=3, ge=1)
    minutes: float = Field(default=5, gt=0)
    seed: int = 1


class Index(Section):
    """How films become rows."""

    library: str = "data/demo/films"
    database: str = "data/demo/database"
    toytown: Toytown | None = None
    fps: float = Field(default=1.0, gt=0, le=60)
    chunk_seconds: int = Field(default=60, ge=1)
    long_side: int = Field(default=512, ge=16)
    jpeg_quality: int = Field(default=85, ge=1, le=100)
    decoder: Literal["pyav", "decord"] = "pyav"
    share_captions: bool = True
    """Let a frame take the caption of the one before where nothing in the picture has changed."""
    caption_tokens: int = Field(default=256, ge=16)
    summary_tokens: int = Field(default=256, ge=16)
    video_summary_tokens: int = Field(default=2048, ge=16)
    summary_fan_in: int = Field(default=10, ge=2)
    """Summaries that one request of the hierarchy condenses."""
    commit_chunks: int = Field(default=64, ge=1)
    commit_seconds: float = Field(default=60, gt=0)
    lease_seconds: float = Field(default=60, gt=0)
    progress_seconds: float = Field(default=30, gt=0)
    stages: Stages = Stages()


CaptionField = Literal["caption", "subjects", "actions", "place", "objects", "on_screen_text"]
CAPTION_FIELDS: tuple[CaptionField, ...] = ("caption", "subjects", "actions", "place", "objects", "on_screen_text")


class Critic(Section):
    """When an answer is doubted, and how hard."""

    mode: Literal["off", "always", "below"] = "always"
    """below: only where the agent's own confidence is under `below`."""
    below: float = Field(default=0.9, ge=0, le=1)
    threshold: float = Field(default=0.7, ge=0, le=1)
    """Under this confidence of the critic's the agent goes on, with the critique in its notes."""
    max_reviews: int = Field(default=1, ge=1)
    """Answers of one question that are reviewed, at most."""
    frames: int = Field(default=8, ge=1)
    """Of the frames that the critic looks at, those from elsewhere than the evidence, at most."""

    @field_validator("mode", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: Any) -> Any:
        return "off" if value is False else value


class Shown(Section):
    """How much of what is known a model is shown. A small model needs small numbers."""

    prompt_tokens: int = Field(default=24_000, ge=256)
    """Of the prompt of a turn, at most: the oldest turns go first."""
    letters_per_token: float = Field(default=3.5, gt=0)
    """What tokens are estimated by, before a model counts them."""
    whole_turns: int = Field(default=100, ge=0)
    """The newest so many turns stand as the model said them; older ones without thought and empty arguments."""
    hits: int = Field(default=40, ge=1)
    """Lines of a search; hits next to each other with the same text are one line."""
    hit_letters: int = Field(default=600, ge=16)
    clusters: int = Field(default=12, ge=1)
    summary_letters: int = Field(default=4000, ge=0)
    log_lines: int = Field(default=60, ge=0)
    """Of the film's logs at the start of a prompt."""
    reasoning_letters: int = Field(default=3000, ge=0)
    """Of the agent's thoughts, that the critic reads: the last ones."""
    caption_fields: tuple[CaptionField, ...] = CAPTION_FIELDS
    """What of a frame's caption a search shows."""
    near_log_lines: int = Field(default=12, ge=0)
    """Of the logs around the frames that the VLM is asked about."""


class Looking(Section):
    """Looking and listening, of the policies whose model does so itself."""

    turns: Literal["by_length", "fixed"] = "by_length"
    """by_length: min(5 + minutes of film, max_turns); fixed: max_turns. The answer is one of them."""
    max_turns: int = Field(default=32, ge=6, le=52)
    sure: float = Field(default=0.9, ge=0, le=1)
    """The confidence that an answer before the last turn needs."""
    frames: int = Field(default=60, ge=1, le=60)
    """Of one look, at most; so are the next two."""
    listen_seconds: float = Field(default=300, gt=0, le=300)
    watch_seconds: float = Field(default=60, gt=0, le=60)
    hearing: Literal["transcript", "audio", "off"] = "transcript"
    """What the model gets of sound: the words, by the role transcriber; the sound itself, if it hears; nothing."""

    @field_validator("hearing", mode="before")
    @classmethod
    def _yaml_reads_off_as_false(cls, value: Any) -> Any:
        return "off" if value is False else value


class Notes(Section):
    """What is noted of a film while a question is answered, and may help later ones (policy investigator)."""

    keep: bool = False
    """Write it to the database's table `notes`."""
    offer: int = Field(default=0, ge=0)
    """Notes of earlier questions about a film that a question begins with, at most."""


class Budget(Section):
    """What may be spent before the agent must answer with what it has; None: no limit."""

    tokens: int | None = Field(default=None, ge=1)
    """Prompt and completion, of all roles together."""
    seconds: float | None = Field(default=None, gt=0)
    cost: float | None = Field(default=None, gt=0)
    """US dollars."""


class AnswerJob(Actors):
    """How the batch job works; none of it decides about an answer."""

    actors_max: int = Field(default=16, ge=1)
    """Of one core each: Ray starts as many as the cluster has cores for and the questions keep busy. Where a model runs
    in the job itself, each holds one."""

    questions: str = "data/demo/questions.parquet"
    output: str = "data/demo/results"
    questions_in_flight: int = Field(default=256, ge=1)
    """That one actor works on at a time."""
    commit_questions: int = Field(default=512, ge=1)
    """Answers in a file, about; and fewer where `commit_seconds` have passed."""
    commit_seconds: float = Field(default=30, gt=0)
    """The job that dies loses the answers of so many seconds, or of a twentieth of its time where that is more."""
    progress_seconds: float = Field(default=30, gt=0)
    lease_seconds: float = Field(default=60, gt=0)
    footage_mb: int = Field(default=256, ge=1)
    """Of open films and what was decoded of them, that a worker keeps."""
    front: str | None = None
    """Address of the served models (http://127.0.0.1:8000/v1), where the job asks them and opens no engine itself."""


class Answer(Section):
    """How questions are answered."""

    policy: str = "retrieval_critic"
    max_actions: int = Field(default=10, ge=0)
    """Searches and looks of a round; then the agent must answer."""
    top_k: int = Field(default=40, ge=1)
    search_mode: Literal["vector", "text", "hybrid"] = "hybrid"
    frames: int = Field(default=16, ge=1)
    """That the VLM is shown at once, at most."""
    passive_frames: int = Field(default=16, ge=1)
    """That the policy `passive` shows, at most."""
    passive_times: Literal["uniform", "relevant"] = "uniform"
    """Where they are. uniform: evenly apart over the film; relevant: inside the question's `relevant_times`, which
    nobody who has to find the answer knows: what the same model would get right if it were handed the evidence."""
    films: int = Field(default=3, ge=1)
    """That a question about more of them, or about the whole library, is answered from."""
    turn_tokens: int = Field(default=1024, ge=16)
    """That a model may write in a turn; the next two of the VLM's answer and of the critic."""
    ask_tokens: int = Field(default=512, ge=16)
    verdict_tokens: int = Field(default=512, ge=16)
    temperature: float = Field(default=0.0, ge=0)
    """Of the turns: above 0 where several rollouts of a question are to differ."""
    logprobs: bool = False
    """Keep token ids and log-probabilities in the traces, where the engines give them."""
    critic: Critic = Critic()
    looking: Looking = Looking()
    notes: Notes = Notes()
    shown: Shown = Shown()
    budget: Budget = Budget()
    """Of one question."""
    job_budget: Budget = Budget()
    """Of all questions of a job."""
    job: AnswerJob = AnswerJob()


OF_A_MODEL = {
    "engine", "source", "model", "extra_body", "dtype", "engine_kwargs", "query_prefix", "dimensions", "compute_type",
    "language",
}  # fmt: skip
"""What decides about a model's replies; the rest says where and how fast it runs, and what it costs."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Serving(Section):
    """The front of the served models: an OpenAI-compatible address."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    token_env: str | None = None
    """Name of the environment variable with the bearer token that every request must bring."""
    replicas: int = Field(default=1, ge=1)
    cpus: float = Field(default=0.5, ge=0)
    """Of one replica of the front."""
    body_bytes: int = Field(default=64 << 20, ge=1024)
    """Of a request, at most: so do the next two."""
    images: int = Field(default=32, ge=0)
    pixels: int = Field(default=2048 * 2048, ge=1)
    """Of one image."""
    timeout_s: float = Field(default=600, gt=0)
    """Until a request is given up with status 503."""

    @model_validator(mode="after")
    def _a_token_guards_what_others_reach(self) -> "Serving":
        if self.host not in LOOPBACK and not self.token_env:
            raise ValueError(
                f"other machines can reach host {self.host}: name the environment variable of a token in token_env"
            )
        return self

    @property
    def url(self) -> str:
        """The front's address for a client on this machine."""
        return f"http://{'127.0.0.1' if self.host in ('0.0.0.0', '::') else self.host}:{self.port}/v1"


class Config(Section):
    """One job's config, whole."""

    models: dict[str, AnyModel]
    roles: dict[Role, str]
    prompts: str = "full"
    index: Index = Index()
    answer: Answer = Answer()
    serving: Serving = Serving()

    @model_validator(mode="after")
    def _roles_name_models(self) -> "Config":
        for role, name in self.roles.items():
            if name not in self.models:
                raise ValueError(f"role {role} names the model {name!r}, which is not among: {', '.join(self.models)}")
            fitting: Any = {"embedder": EmbedderModel, "transcriber": SpeechModel}.get(role, ChatModel)
            if not isinstance(self.models[name], fitting):
                raise ValueError(f"role {role} cannot be done by {name!r}: its engine is {self.models[name].engine}")
        return self

    def chat_model(self, role: Role) -> ChatModel:
        """The model that writes for a role. Raises ConfigError where the role has none."""
        model = self._model(role)
        assert isinstance(model, ChatModel)  # _roles_name_models
        return model

    def embedding_model(self) -> EmbedderModel:
        """The model that embeds. Raises ConfigError where there is none."""
        model = self._model("embedder")
        assert isinstance(model, EmbedderModel)  # _roles_name_models
        return model

    def speech_model(self) -> SpeechModel | None:
        """The model that writes down what is said; None where the config has none."""
        if "transcriber" not in self.roles:
            return None
        model = self._model("transcriber")
        assert isinstance(model, SpeechModel)  # _roles_name_models
        return model

    def of_an_answer(self) -> dict[str, Any]:
        """All that decides about an answer: not where things lie, how fast they run, or what a job may spend."""
        roles = {role: name for role, name in sorted(self.roles.items()) if role not in ("captioner", "summarizer")}
        return {
            "prompts": self.prompts,
            "roles": roles,
            "models": {name: self.models[name].model_dump(mode="json", include=OF_A_MODEL) for name in roles.values()},
            "answer": self.answer.model_dump(mode="json", exclude={"job", "job_budget"}),
        }

    def cost(self, usage: Usage, role: Role) -> float:
        """US dollars, by the price of the model that has the role."""
        price = self.chat_model(role).price
        return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1e6

    def through_front(self, url: str = "") -> "Config":
        """The same config for a client of the served models: chat models are reached at the front's address.

        `url` is the front's if it is not the one that `serving` says. Embedders stay as they are, and so does a model
        that only transcribes.
        """
        only_hears = {self.roles.get("transcriber")} - {of for role, of in self.roles.items() if role != "transcriber"}
        front = {
            "engine": "openai",
            "base_url": url or self.serving.url,
            "api_key_env": self.serving.token_env or "",
            "concurrency": 1024,
            "timeout_s": self.serving.timeout_s,
        }
        reached = {
            name: model
            if isinstance(model, EmbedderModel | OnlyHears) or name in only_hears
            else OpenAIModel.model_validate({**front, "model": name, "price": model.price})
            for name, model in self.models.items()
        }
        return self.model_copy(update={"models": reached})

    def _model(self, role: Role) -> ChatModel | EmbedderModel | OnlyHears:
        if role not in self.roles:
            raise ConfigError(f"the config gives nobody the role {role!r}")
        return self.models[self.roles[role]]


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config and change it by `a.b.c=value` strings, values in YAML. Raises ConfigError with a sentence."""
    file = Path(path) if Path(path).is_file() else ROOT / path
    if not file.is_file():
        raise ConfigError(f"no config file at {path}")
    try:
        tree = yaml.safe_load(file.read_text()) or {}
        for override in overrides:
            _override(tree, override)
        return Config.model_validate(tree)
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{file.name}: {error}") from error


def _override(tree: dict[str, Any], override: str) -> None:
    dotted, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"an override reads a.b.c=value, not {override!r}")
    *parents, last = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"override {override!r}: {parent!r} is a value, not a section")
    tree[last] = yaml.safe_load(value)


def absolute(location: str) -> str:
    """A path of a command line as an absolute one; addresses (scheme://) stay as they are."""
    return location if "://" in location else str(Path(location).absolute())


def resolve(location: str) -> str:
    """A path of a config as an absolute one; addresses (scheme://) stay as they are."""
    return location if "://" in location else str(ROOT / Path(location).expanduser())


def resolve_source(source: str) -> str:
    """Where a model's weights are: a folder, the folder inside an installed package, or a hub id as it is."""
    if source.startswith("package:"):
        name = source.removeprefix("package:").replace("-", "_")
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(f"the package {name!r} is not installed")
        return str(Path(spec.submodule_search_locations[0]) / "model")
    folder = ROOT / source
    return str(folder) if folder.is_dir() else source


def digest(*values: Any) -> str:
    """A short stable hash of JSON values: lineages and config hashes are made of it."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
