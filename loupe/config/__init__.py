"""YAML and dotted overrides become one frozen config. Environment variables carry secrets only.

`models:` names every model with its engine; `roles:` says which model does what. Several roles may share a model.
"""

from loupe.config.answer import Answer, Budget, CaptionField, Critic, Looking, Notes, Shown
from loupe.config.index import OF_A_ROW, Index, Stages
from loupe.config.loading import ROOT, absolute, load, resolve, resolve_source
from loupe.config.models import (
    OF_A_MODEL,
    SPEED_OF_VLLM,
    ChatModel,
    EmbedderModel,
    EmbeddingModel,
    FasterWhisperModel,
    FieldsModel,
    HashingModel,
    HereModel,
    LocalModel,
    OpenAIModel,
    Role,
    ScriptedModel,
    Serve,
    SpeechModel,
    VllmModel,
    WhisperModel,
)
from loupe.config.section import Actors, ConfigError, digest, share_of_gpus
from loupe.config.serving import LOOPBACK, Serving
from loupe.config.whole import Config

__all__ = [
    "LOOPBACK",
    "OF_A_MODEL",
    "OF_A_ROW",
    "ROOT",
    "SPEED_OF_VLLM",
    "Actors",
    "Answer",
    "Budget",
    "CaptionField",
    "ChatModel",
    "Config",
    "ConfigError",
    "Critic",
    "EmbedderModel",
    "EmbeddingModel",
    "FasterWhisperModel",
    "FieldsModel",
    "HashingModel",
    "HereModel",
    "Index",
    "LocalModel",
    "Looking",
    "Notes",
    "OpenAIModel",
    "Role",
    "ScriptedModel",
    "Serve",
    "Serving",
    "Shown",
    "SpeechModel",
    "Stages",
    "VllmModel",
    "WhisperModel",
    "absolute",
    "digest",
    "load",
    "resolve",
    "resolve_source",
    "share_of_gpus",
]
