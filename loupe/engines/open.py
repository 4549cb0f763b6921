"""From a config's model to the engine that reaches it: the one place that names every engine."""

from loupe.config import ChatModel, ConfigError, FieldsModel, LocalModel, OpenAIModel, ScriptedModel, resolve_source
from loupe.engines.protocol import Engine

# Imports stand inside: a process that reaches its models by URL has no use for torch.


def open_engine(model: ChatModel) -> Engine:
    """The engine of a model. Raises ConfigError for one that cannot be reached from a process of ours."""
    match model:
        case LocalModel():
            from loupe.engines.local import LocalEngine

            return LocalEngine(
                resolve_source(model.source),
                max_batch=model.max_batch,
                threads=model.threads,
                device=model.device,
                dtype=model.dtype,
            )
        case OpenAIModel():
            from loupe.engines.openai import OpenAIEngine

            return OpenAIEngine(
                model.base_url,
                model.model,
                api_key_env=model.api_key_env,
                concurrency=model.concurrency,
                timeout_s=model.timeout_s,
                max_retries=model.max_retries,
                first_wait_s=model.first_wait_s,
                extra_body=model.extra_body,
            )
        case FieldsModel():
            from loupe.engines.fields import condense
            from loupe.engines.scripted import ScriptedEngine

            return ScriptedEngine(condense)
        case ScriptedModel():
            from loupe.engines.scripted import RULES, ScriptedEngine

            if model.source not in RULES:
                raise ConfigError(f"no scripted rule is called {model.source!r}; there are: {', '.join(RULES)}")
            return ScriptedEngine(RULES[model.source])
    raise ConfigError(
        f"engine: {model.engine} runs in GPU workers of the index job and can only caption there: give the other "
        "roles a model that is local or has an address"
    )
