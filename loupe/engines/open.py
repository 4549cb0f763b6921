"""From a config's model to the engine that reaches it: the one place that names every engine."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, TypeVar

from loupe.config import (
    ChatModel,
    ConfigError,
    FasterWhisperModel,
    FieldsModel,
    LocalModel,
    OpenAIModel,
    ScriptedModel,
    SpeechModel,
    WhisperModel,
    resolve_source,
)
from loupe.engines.protocol import Engine
from loupe.engines.speech import Transcriber

Rule = TypeVar("Rule")

PACKAGES = {"vllm": ("vllm", "gpu"), "faster-whisper": ("faster_whisper", "speech")}
"""What engines need that is not always installed: the package, and the extra of ours that brings it."""

# Imports stand inside: a process that reaches its models by URL has no use for torch.


def require_packages(models: Iterable[ChatModel | SpeechModel]) -> None:
    """Raises ConfigError where the package that the engine of a model needs is not installed. Imports none."""
    for model in models:
        package, extra = PACKAGES.get(model.engine, ("loupe", ""))
        if find_spec(package) is None:
            raise ConfigError(f"engine: {model.engine} needs its package: pip install loupe[{extra}]")


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

            return OpenAIEngine(**_of_an_address(model))
        case FieldsModel():
            from loupe.engines.fields import condense
            from loupe.engines.scripted import ScriptedEngine

            return ScriptedEngine(condense)
        case ScriptedModel():
            from loupe.engines.scripted import RULES, ScriptedEngine

            return ScriptedEngine(_rule(model, RULES))
    raise ConfigError(
        f"engine: {model.engine} runs in GPU workers of the index job and can only caption there: give the other "
        "roles a model that is local or has an address"
    )


def open_transcriber(model: SpeechModel) -> Transcriber:
    """The engine of a model that writes down what is said. Raises ConfigError where what it needs is not installed."""
    match model:
        case WhisperModel():
            from loupe.engines.whisper import WhisperTranscriber

            return WhisperTranscriber(
                resolve_source(model.source),
                max_batch=model.max_batch,
                threads=model.threads,
                device=model.device,
                dtype=model.dtype,
                language=model.language,
            )
        case FasterWhisperModel():
            try:
                from loupe.engines.faster_whisper import FasterWhisperTranscriber
            except ImportError as error:
                raise ConfigError(
                    f"engine: faster-whisper needs its package: pip install loupe[speech] ({error})"
                ) from None

            return FasterWhisperTranscriber(
                resolve_source(model.source),
                device=model.device,
                compute_type=model.compute_type,
                threads=model.threads,
                language=model.language,
            )
        case OpenAIModel():
            from loupe.engines.openai_speech import OpenAITranscriber

            return OpenAITranscriber(**_of_an_address(model))
        case ScriptedModel():
            from loupe.engines.scripted_speech import RULES, ScriptedTranscriber

            return ScriptedTranscriber(_rule(model, RULES))


def _of_an_address(model: OpenAIModel) -> dict[str, Any]:
    return model.model_dump(exclude={"engine", "price"})


def _rule(model: ScriptedModel, rules: dict[str, Rule]) -> Rule:
    if model.source not in rules:
        raise ConfigError(f"no scripted rule is called {model.source!r}; there are: {', '.join(rules)}")
    return rules[model.source]
