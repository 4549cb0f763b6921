"""A config, whole: models, who does what, and what each job has to know."""

from typing import Any

from pydantic import model_validator

from loupe import prompts
from loupe.config.answer import Answer
from loupe.config.index import PICTURES, Index
from loupe.config.models import (
    OF_A_MODEL,
    AnyModel,
    ChatModel,
    EmbedderModel,
    OnlyHears,
    OpenAIModel,
    Role,
    SpeechModel,
)
from loupe.config.section import ConfigError, Section
from loupe.config.serving import Serving
from schemas.messages import Usage

FRONT_PATIENCE_S = 3600
"""That a job asks our own front again, which is busy because the job itself has so many questions at work."""


class Config(Section):
    """One job's config, whole."""

    models: dict[str, AnyModel]
    roles: dict[Role, str]
    prompts: str = "full"
    """A set below loupe/prompts, or the absolute path of a folder with files of the same names."""
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

    @model_validator(mode="after")
    def _prompts_are_all_there(self) -> "Config":
        if lacking := prompts.lacking(self.prompts):
            first, more = ", ".join(lacking[:3]), f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            sets = ", ".join(prompts.sets())
            raise ValueError(f"the set of prompts {self.prompts!r} lacks {first}{more}; there are {sets}, or a folder")
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
        from loupe.weights import of_a_model  # which needs this package

        roles = {role: name for role, name in sorted(self.roles.items()) if role not in ("captioner", "summarizer")}
        return {
            "prompts": prompts.hashes(self.prompts, of_the_index=False),
            "roles": roles,
            "models": {name: of_a_model(self.models[name], OF_A_MODEL) for name in roles.values()},
            "pictures": self.index.model_dump(mode="json", include=set(PICTURES)),
            "answer": self.answer.model_dump(mode="json", exclude={"job", "job_budget"}),
        }

    def cost(self, usage: Usage, role: Role) -> float:
        """US dollars, by the price of the model that has the role."""
        price = self.chat_model(role).price
        return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1e6

    def cost_of_sound(self, seconds: float) -> float:
        """US dollars for what the transcriber listens to, by its model's price."""
        model = self.speech_model()
        return seconds / 60 * model.price.minute if model else 0.0

    def through_front(self, url: str = "") -> "Config":
        """The same config for a client of the served models: chat models are reached at the front's address.

        `url` is the front's if it is not the one that `serving` says. Embedders stay as they are, and so do models that
        only hear: the front transcribes nothing.
        """
        front = {
            "engine": "openai",
            "base_url": url or self.serving.url,
            "api_key_env": self.serving.token_env or "",
            "concurrency": 1024,
            "timeout_s": self.serving.timeout_s,
            "patience_s": FRONT_PATIENCE_S,
        }
        reached = {
            name: model
            if isinstance(model, EmbedderModel | OnlyHears)
            else OpenAIModel.model_validate({**front, "model": name, "price": model.price})
            for name, model in self.models.items()
        }
        return self.model_copy(update={"models": reached})

    def _model(self, role: Role) -> ChatModel | EmbedderModel | OnlyHears:
        if role not in self.roles:
            raise ConfigError(f"the config gives nobody the role {role!r}")
        return self.models[self.roles[role]]
