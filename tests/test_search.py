"""Search over frames, chunks, transcripts and films: by meaning, by words, by both."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from loupe.library import CommitBatch, Library
from loupe.library.filters import among, equals
from loupe.library.search import Hit, fuse
from loupe.library.tables import as_table
from tests.library_scene import DIMENSIONS, WORDS, Scene, batch, vector_of

SQL = "x' OR 1=1; DROP TABLE captions; --"


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "database")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of three chunks; the cat is in a.mp4 at 0 and 3 s, and in it's.mp4 at 6 s. Before its upkeep, and
    after it: `fresh` and `optimized`."""
    folder = tmp_path_factory.mktemp("libraries")
    database = str(folder / "fresh")
    library = Library.open(database, DIMENSIONS, create=True)
    library.commit(
        batch(
            database,
            Scene("a.mp4", 0, ("cat", "dog", "boat"), lines=("the train is late",)),
            Scene("a.mp4", 1, ("cat", "lamp", "tree")),
            Scene("a.mp4", 2, ("egg", "hat", "tree"), lines=("no egg today",)),
            Scene("it's.mp4", 0, ("dog", "boat", "lamp")),
            Scene("it's.mp4", 1, ("tree", "egg", "hat")),
            Scene("it's.mp4", 2, ("cat", "boat", "tree"), lines=("train", "again a train")),
        )
    )
    library.put_videos(
        [
            {
                "video_id": "a.mp4",
                "status": "complete",
                "duration_ms": 9000,
                "summary": "an egg",
                "vector": vector_of("egg"),
            },
            {"video_id": "it's.mp4", "status": "indexing", "summary": "an egg", "vector": vector_of("egg")},
        ]
    )
    shutil.copytree(database, folder / "optimized")
    Library.open(str(folder / "optimized")).optimize()
    return folder


@pytest.fixture
def library(built: Path, database: str) -> Library:
    """The library before its upkeep, to be changed."""
    shutil.copytree(built / "fresh", database)
    return Library.open(database)


def times(hits: list[Hit]) -> list[tuple[str, int]]:
    return sorted((hit.video_id, hit.start_ms) for hit in hits)


CATS = [("a.mp4", 0), ("a.mp4", 3000), ("it's.mp4", 6000)]


@pytest.fixture(params=["fresh", "optimized"])
def either(request: pytest.FixtureRequest, built: Path) -> Library:
    """The library before and after its upkeep, to be read."""
    return Library.open(str(built / request.param))


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_the_best_frames_are_those_that_show_it(mode: str, either: Library):
    hits = either.search("cat", vector_of("cat"), mode=mode, top_k=3).hits
    assert times(hits) == CATS
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert hits[0].text == "a cat stands here"


def test_the_score_of_a_vector_is_its_cosine(either: Library):
    hits = either.search(None, vector_of("cat dog"), mode="vector", top_k=40).hits
    assert [round(hit.score, 5) for hit in hits[:5]] == [round(0.5**0.5, 5)] * 5
    assert all(abs(hit.score) < 1e-6 for hit in hits[5:])
    assert len(hits) == 18


def test_a_search_keeps_to_films_and_times(either: Library):
    def found(**limits: object) -> list:
        by_vector = either.search(None, vector_of("cat"), mode="vector", top_k=40, **limits).hits
        by_words = either.search("cat", mode="text", top_k=40, **limits).hits
        assert times(by_words) == times([hit for hit in by_vector if hit.score > 0.5])
        return times(by_words)

    assert found(video_id="it's.mp4") == [("it's.mp4", 6000)]
    assert found(video_id=["a.mp4", "nobody.mp4"]) == CATS[:2]
    assert found(video_id=[]) == []
    assert found(start_ms=3000) == CATS[1:]
    assert found(end_ms=3000) == CATS[:1]
    assert found(video_id=["a.mp4", "it's.mp4"], start_ms=1, end_ms=6000) == CATS[1:2]


def test_spans_are_found_where_they_overlap_the_time(library: Library):
    found = library.search("there", mode="text", level="chunks", video_id="a.mp4", start_ms=2500, end_ms=3001).hits
    assert [(hit.start_ms, hit.end_ms, hit.chunk_index) for hit in sorted(found, key=lambda hit: hit.start_ms)] == [
        (0, 3000, 0),
        (3000, 6000, 1),
    ]


def test_every_level_is_searched_by_meaning_and_words(either: Library):
    for mode in ("vector", "text", "hybrid"):
        chunk = either.search("egg hat", vector_of("egg hat"), level="chunks", mode=mode, top_k=2).hits
        assert times(chunk) == [("a.mp4", 6000), ("it's.mp4", 3000)]
        lines = either.search("train", vector_of("train"), level="transcripts", mode=mode, top_k=3).hits
        assert times(lines) == [("a.mp4", 0), ("it's.mp4", 6000), ("it's.mp4", 6100)]
        film = either.search("egg", vector_of("egg"), level="videos", mode=mode).hits
        assert [(hit.video_id, hit.start_ms, hit.end_ms) for hit in film] == [("a.mp4", 0, 9000)]


def test_words_on_signs_are_found_even_if_they_say_little(either: Library):
    assert times(either.search("no", mode="text", level="transcripts").hits) == [("a.mp4", 6000)]


def test_rows_without_a_marker_never_show_up(library: Library, database: str):
    class Died(Exception):
        pass

    def dies(step: str) -> None:
        if step == "markers: upsert":
            raise Died

    many = [Scene(f"{i}.mp4", 0, ("cat", "cat", "cat"), lines=("train",)) for i in range(30)]
    with pytest.raises(Died):
        Library.open(database, before_commit=dies).commit(batch(database, *many, Scene("a.mp4", 0, ("cat",), made="2")))
    for upkeep in (lambda: None, library.optimize):
        upkeep()
        for mode in ("vector", "text", "hybrid"):
            assert times(library.search("cat", vector_of("cat"), mode=mode, top_k=2).hits) == CATS[1:]
            lines = library.search("train", vector_of("train"), level="transcripts", mode=mode, top_k=2).hits
            assert times(lines) == [("it's.mp4", 6000), ("it's.mp4", 6100)]


def test_rows_of_another_lineage_than_the_marker_never_show_up(library: Library, database: str):
    marker = Scene("a.mp4", 0, captioned="other").marker()
    library._tables.upsert("markers: upsert", "chunks", _rows(library, [marker]))
    assert times(library.search("cat", mode="text").hits) == CATS[1:]
    assert [row["ts_ms"] for row in library.captions("a.mp4")] == [3000, 4000, 5000, 6000, 7000, 8000]


def _rows(library: Library, rows: list[dict]) -> object:
    return as_table(rows, library._tables.schemas["chunks"])


@pytest.mark.parametrize("query", [SQL, "it's", '"cat', "cat AND (", "*", "cat~2", "+dog -cat", "", "   ", "?", "漢字"])
def test_a_query_is_only_words(query: str, either: Library):
    result = either.search(query, vector_of(query), mode="hybrid", video_id="it's.mp4", top_k=5)
    assert len(result.hits) == 5
    assert {hit.video_id for hit in result.hits} == {"it's.mp4"}
    assert either.search(query, mode="text", video_id=SQL).hits == []
    assert len(either.captions("a.mp4")) == 9


def test_a_value_in_a_filter_stays_a_value():
    assert equals("a", "it's") == "a = 'it''s'"
    assert equals("a", "x\\' OR 1=1 --") == "a = 'x\\'' OR 1=1 --'"
    assert among("a", [2, 1, 2]) == "a IN (1, 2)"
    with pytest.raises(ValueError, match="invalid literal"):
        equals("a", Sneaky("1 OR 1=1"))


class Sneaky(bytes):
    """Text that does not call itself text."""

    def __new__(cls, text: str) -> "Sneaky":
        return super().__new__(cls, text.encode())


def test_names_made_of_quotes_and_backslashes_are_found_again(library: Library, database: str):
    random = np.random.default_rng(1)
    letters = list("'\\\"\n-/*;%_` aE)(")
    names = sorted({"".join(random.choice(letters, size=5)) for _ in range(60)})
    library.commit(batch(database, *(Scene(name, 0, ("hat",), step_ms=3000) for name in names)))
    for name in names:
        assert times(library.search("hat", vector_of("hat"), video_id=name, mode="hybrid").hits) == [(name, 0)]


def test_hits_gather_in_clusters_of_their_film(library: Library):
    result = library.search(None, vector_of("cat"), mode="vector", top_k=3)
    assert {(each.video_id, each.start_ms, each.end_ms, each.count) for each in result.clusters} == {
        ("a.mp4", 0, 3000, 2),
        ("it's.mp4", 6000, 6000, 1),
    }
    assert all(each.best_score == pytest.approx(1) for each in result.clusters)
    assert len(library.search(None, vector_of("cat"), mode="vector", top_k=3, gap_ms=2999).clusters) == 3
    assert library.search("egg", mode="text", level="videos").clusters == []


def test_ranks_are_fused_by_their_reciprocals():
    def hit(film: str, similarity: float | None = None) -> Hit:
        return Hit(film, 0, 0, film, 0.5, 0, similarity=similarity)

    fused = fuse([[hit("a"), hit("b", 0.9)], [hit("b"), hit("c")]])
    assert [each.video_id for each in fused] == ["b", "a", "c"]
    assert [each.score for each in fused] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])
    assert fused[0].similarity == 0.9


def test_what_is_missing_is_said(library: Library):
    with pytest.raises(ValueError, match="needs the query's vector"):
        library.search("cat", mode="hybrid")
    with pytest.raises(ValueError, match="needs the words"):
        library.search(None, vector_of("cat"), mode="text")
    with pytest.raises(ValueError, match="has 3 numbers, those of the tables 8"):
        library.search(None, [1.0, 0.0, 0.0], mode="vector")
    with pytest.raises(ValueError, match="level is one of"):
        library.search("cat", mode="text", level="shots")
    with pytest.raises(ValueError, match="mode is one of"):
        library.search("cat", mode="magic")
    with pytest.raises(ValueError, match="top_k"):
        library.search("cat", mode="text", top_k=0)


def test_rows_without_text_or_vector_are_no_hits_and_no_error(library: Library, database: str):
    silent = Scene("s.mp4", 0)
    rows = [{**row, "text": None, "vector": ()} for row in silent.captions()]
    library.commit(
        CommitBatch([{**silent.marker(), "summary": "", "vector": ()}], batch(database, silent).fragments, rows)
    )
    assert library.search("cat", vector_of("cat"), video_id="s.mp4", mode="hybrid").hits == []
    assert library.search("cat", vector_of("cat"), video_id="s.mp4", level="chunks", mode="hybrid").hits == []
    assert len(library.captions("s.mp4")) == 3
    library.optimize(ann_rows=8)
    assert times(library.search("cat", vector_of("cat"), mode="vector", top_k=3).hits) == CATS


def test_an_empty_library_has_no_hits(database: str):
    library = Library.open(database, DIMENSIONS, create=True)
    for level in ("frames", "chunks", "transcripts", "videos"):
        assert library.search("cat", vector_of("cat"), level=level).hits == []
    library.optimize()
    assert library.search("cat", vector_of("cat")).hits == []


def test_an_ann_index_finds_what_the_exact_search_finds(database: str):
    library = Library.open(database, DIMENSIONS, create=True)
    random = np.random.default_rng(0)
    scenes = [Scene(f"{film}.mp4", 0, WORDS, step_ms=100) for film in range(40)]
    rows = [row for scene in scenes for row in scene.captions()]
    vectors = random.standard_normal((len(rows), DIMENSIONS))
    for row, vector in zip(rows, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True):
        row["vector"] = vector.tolist()
    library.commit(CommitBatch([scene.marker() for scene in scenes], batch(database, *scenes).fragments, rows))
    query = vectors[7] / np.linalg.norm(vectors[7])
    exact = library.search(None, query, mode="vector", exact=True).hits
    library.optimize(ann_rows=1000)
    assert "vector_ann" in {each.name for each in library._tables.dataset("captions").describe_indices()}
    found = library.search(None, query, mode="vector").hits
    assert len(set(times(found)) & set(times(exact))) >= 38
    assert found[0].score == pytest.approx(1, abs=1e-5)
    one_film = library.search(None, query, mode="vector", video_id="3.mp4").hits
    assert len(one_film) == 30
    settled = library._tables.dataset("captions").version
    library.optimize(ann_rows=1000)
    assert library._tables.dataset("captions").version == settled
