"""Texts to unit vectors."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loupe.config import OF_A_MODEL, EmbedderModel, HashingModel, digest, resolve_source
from loupe.weights import of_a_model

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """What turns texts into vectors of one length, near to each other where the texts are."""

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts that are stored, of shape [texts, dimensions]; no text gives shape (0, dimensions)."""
        ...

    def embed_query(self, text: str) -> Vectors:
        """Unit vector of a text that is searched with, of shape [dimensions]."""
        ...


class SentenceEmbedder:
    """A sentence-transformers model: a folder, a hub id, or `package:NAME` for the one inside an installed package."""

    def __init__(self, source: str, *, device: str = "auto", batch_size: int = 64, query_prefix: str = "") -> None:
        from sentence_transformers import SentenceTransformer  # slow to import
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        self._model: Any = SentenceTransformer(resolve_source(source), device=None if device == "auto" else device)
        self._batch_size = batch_size
        self._query_prefix = query_prefix

    @property
    def dimensions(self) -> int:
        dimensions: int = self._model.get_embedding_dimension()
        return dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        vectors = self._model.encode(
            list(texts), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32)

    def embed_query(self, text: str) -> Vectors:
        vector: Vectors = self.embed([self._query_prefix + text])[0]
        return vector


class HashingEmbedder:
    """Each word adds or takes one at a place that its hash names: texts that share words are near. For tests."""

    def __init__(self, dimensions: int = 64) -> None:
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
                vector[number // 2 % self.dimensions] += 1 if number % 2 else -1
            if not vector.any():  # words that cancel out
                vector[0] = 1
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = vectors / lengths
        return unit

    def embed_query(self, text: str) -> Vectors:
        vector: Vectors = self.embed([text])[0]
        return vector


def identity_of(model: EmbedderModel) -> str:
    """Hash of what decides about the vectors of texts that are stored.

    Raises ConfigError for a package that is not installed.
    """
    return digest(of_a_model(model, OF_A_MODEL - {"query_prefix"}))


def dimensions_of(model: EmbedderModel) -> int:
    """Numbers in the vectors of a config's model: as its folder says, or else by loading it, which takes seconds."""
    told = None if isinstance(model, HashingModel) else _told_dimensions(Path(resolve_source(model.source)))
    return told or open_embedder(model).dimensions


def _told_dimensions(folder: Path) -> int | None:
    """What the last module that changes the size says; sentence-transformers writes each into a folder of its own."""
    if not (folder / "modules.json").is_file():
        return None
    told = None
    for module in json.loads((folder / "modules.json").read_text()):
        file = folder / module["path"] / "config.json"
        settings = json.loads(file.read_text()) if module["path"] and file.is_file() else {}
        size = settings.get("out_features") or settings.get("word_embedding_dimension")
        modes = sum(value is True for name, value in settings.items() if name.startswith("pooling_mode_"))
        told = size * max(modes, 1) if size else told
    return told


def open_embedder(model: EmbedderModel) -> Embedder:
    """The embedder of a config's model."""
    if isinstance(model, HashingModel):
        return HashingEmbedder(model.dimensions)
    return SentenceEmbedder(
        model.source, device=model.device, batch_size=model.batch_size, query_prefix=model.query_prefix
    )
