"""Search by words, by meaning, or both, over frames, chunks, transcripts or whole films."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
from lance.query import MatchQuery

from loupe.library.filters import Where, above, all_of, among, any_of, at_least, below, equals
from loupe.library.patience import patiently
from loupe.library.tables import Row, Tables
from loupe.library.visible import LINEAGES, with_marker
from loupe.timeline import Cluster, cluster

LevelName = Literal["frames", "chunks", "transcripts", "videos"]
Mode = Literal["vector", "text", "hybrid"]

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""
CANDIDATES = 4
"""Hybrid search fuses this many times `top_k` hits of each kind."""
REFINE = 10
"""Vectors that an ANN index proposes a hit, to be compared exactly."""
PROBES = 32
FEW_FILMS = 16
"""Rows of so few films are compared one by one, index or not: that is exact, and no slower."""


@dataclass(frozen=True)
class Level:
    """Where a level's rows lie, and within how many milliseconds its hits belong together."""

    table: str
    text: str
    start: str
    end: str
    gap_ms: int


LEVELS: dict[LevelName, Level] = {
    "frames": Level("captions", "text", "ts_ms", "ts_ms", 5_000),
    "chunks": Level("chunks", "summary", "start_ms", "end_ms", 90_000),
    "transcripts": Level("transcripts", "text", "start_ms", "end_ms", 10_000),
    "videos": Level("videos", "summary", "duration_ms", "duration_ms", 0),
}


@dataclass(frozen=True)
class Hit:
    """A row that was found; `score` is what its mode ranks by."""

    video_id: str
    start_ms: int
    end_ms: int
    text: str
    score: float
    """Cosine similarity (vector), BM25 (text), or reciprocal rank fusion (hybrid)."""
    rank: int
    """1 is the best."""
    chunk_index: int | None = None
    similarity: float | None = None
    """Cosine similarity, where the vectors were compared and found this row."""


@dataclass(frozen=True)
class FilmCluster(Cluster):
    """Hits of one film that lie close together in time."""

    video_id: str


@dataclass(frozen=True)
class SearchResult:
    """Hits, best first."""

    hits: list[Hit]
    gap_ms: int | None
    """Hits closer than this form a cluster; None: hits are whole films, and form none."""

    @cached_property
    def clusters(self) -> list[FilmCluster]:
        """Where in their films the hits gather, best score first."""
        return [] if self.gap_ms is None else clusters(self.hits, self.gap_ms)


def search(
    tables: Tables,
    query_text: str | None,
    query_vector: Sequence[float] | None,
    *,
    level: LevelName,
    video_id: str | Collection[str] | None,
    start_ms: int | None,
    end_ms: int | None,
    mode: Mode,
    top_k: int,
    gap_ms: int | None,
    exact: bool,
) -> SearchResult:
    """See Library.search."""
    if level not in LEVELS:
        raise ValueError(f"level is one of {', '.join(LEVELS)}, not {level!r}")
    if mode not in ("vector", "text", "hybrid"):
        raise ValueError(f"mode is one of vector, text, hybrid, not {mode!r}")
    if top_k < 1:
        raise ValueError("top_k is at least 1")
    place = LEVELS[level]
    films = [video_id] if isinstance(video_id, str) else None if video_id is None else sorted(set(video_id))
    if films == []:
        return SearchResult([], None)
    where = _where(level, films, start_ms, end_ms)
    found = []
    if mode in ("vector", "hybrid"):
        nearest = _nearest(tables, query_vector, exact=exact or (films is not None and len(films) <= FEW_FILMS))
        found.append(_hits(tables, place, where, nearest, _candidates(mode, top_k)))
    if mode in ("text", "hybrid"):
        if query_text is None:
            raise ValueError(f"a search by {mode} needs the words of the query")
        found.append(_hits(tables, place, where, _matching(place, query_text), _candidates(mode, top_k)))
    hits = found[0] if len(found) == 1 else fuse(found, top_k)
    return SearchResult(hits, None if level == "videos" else place.gap_ms if gap_ms is None else gap_ms)


def fuse(lists: Sequence[Sequence[Hit]], top_k: int | None = None) -> list[Hit]:
    """Reciprocal rank fusion: a hit scores the sum of 1 / (60 + rank) over the lists that have it. Best first."""
    scores: dict[tuple[str, int, int, str], float] = {}
    hits: dict[tuple[str, int, int, str], Hit] = {}
    for ranked in lists:
        for rank, hit in enumerate(ranked, start=1):
            key = (hit.video_id, hit.start_ms, hit.end_ms, hit.text)
            scores[key] = scores.get(key, 0.0) + 1 / (RRF_K + rank)
            if key not in hits or hits[key].similarity is None:
                hits[key] = hit
    order = sorted(hits, key=lambda key: (-scores[key], key[0], key[1], key[3]))
    return [replace(hits[key], score=scores[key], rank=rank) for rank, key in enumerate(order[:top_k], start=1)]


def clusters(hits: Iterable[Hit], gap_ms: int) -> list[FilmCluster]:
    """Hits of each film gathered in time, by the middle of each; the cluster with the best score first."""
    by_film: dict[str, list[Hit]] = {}
    for hit in hits:
        by_film.setdefault(hit.video_id, []).append(hit)
    found = []
    for film, own in by_film.items():
        own.sort(key=lambda hit: hit.start_ms + hit.end_ms)
        times, scores = [(hit.start_ms + hit.end_ms) // 2 for hit in own], [hit.score for hit in own]
        found += [FilmCluster(**vars(each), video_id=film) for each in cluster(times, scores, gap_ms)]
    return sorted(found, key=lambda each: (-each.best_score, each.video_id, each.start_ms))


def _candidates(mode: Mode, top_k: int) -> int:
    return top_k * CANDIDATES if mode == "hybrid" else top_k


def _where(level: LevelName, films: list[str] | None, start_ms: int | None, end_ms: int | None) -> Where | None:
    """Rows of these films that lie in [start_ms, end_ms), at least in part; None for all rows."""
    place = LEVELS[level]
    conditions = [] if films is None else [among("video_id", films)]
    if level == "videos":
        conditions.append(equals("status", "complete"))
        start_ms = end_ms = None
    if start_ms:
        conditions.append(_not_before(place, start_ms))
    if end_ms is not None:
        conditions.append(below(place.start, end_ms))
    return all_of(*conditions) if conditions else None


def _not_before(place: Level, start_ms: int) -> Where:
    from_there = at_least(place.start, start_ms)
    return from_there if place.end == place.start else any_of([from_there, above(place.end, start_ms)])


Scan = Callable[[int], dict[str, Any]]
"""How to scan for so many rows: arguments of Lance's scanner."""


def _nearest(tables: Tables, query_vector: Sequence[float] | None, *, exact: bool) -> Scan:
    if query_vector is None:
        raise ValueError("a search by meaning needs the query's vector")
    if len(query_vector) != tables.dimensions:
        raise ValueError(f"the query's vector has {len(query_vector)} numbers, those of the tables {tables.dimensions}")
    query = pa.array(query_vector, pa.float32())
    how = {"use_index": False} if exact else {"refine_factor": REFINE, "nprobes": PROBES}
    return lambda limit: {"nearest": {"column": "vector", "q": query, "k": limit, "metric": "cosine", **how}}


def _matching(place: Level, query_text: str) -> Scan:
    return lambda limit: {"full_text_query": MatchQuery(query_text, place.text), "limit": limit}


def _hits(tables: Tables, place: Level, where: Where | None, scan: Scan, wanted: int) -> list[Hit]:
    """The best rows that a reader sees: more are asked for as long as some have no marker."""
    limit = wanted
    while True:
        rows = _scan(tables, place, where, scan(limit))
        found = with_marker(tables, place.table, rows) if place.table in LINEAGES else rows
        if found.num_rows >= wanted or rows.num_rows < limit:
            return _ranked(place, found)[:wanted]
        limit *= 4


@patiently
def _scan(tables: Tables, place: Level, where: Where | None, how: dict[str, Any]) -> pa.Table:
    score = "_distance" if "nearest" in how else "_score"
    columns = dict.fromkeys(("video_id", place.start, place.end, place.text))
    if place.table in LINEAGES:
        columns |= dict.fromkeys(("chunk_index", LINEAGES[place.table][0]))
    elif place.table == "chunks":
        columns["chunk_index"] = None
    dataset = tables.dataset(place.table)
    return dataset.scanner(columns=[*columns, score], filter=where, prefilter=True, **how).to_table()


def _ranked(place: Level, found: pa.Table) -> list[Hit]:
    """Rows as hits, best first; of equals the order is always the same."""
    scored = [(_score(row), row) for row in found.to_pylist()]
    scored.sort(key=lambda each: (-each[0], each[1]["video_id"], each[1][place.start], each[1][place.text] or ""))
    return [_hit(place, row, score, rank) for rank, (score, row) in enumerate(scored, start=1)]


def _score(row: Row) -> float:
    score: float = 1.0 - row["_distance"] if "_distance" in row else row["_score"]
    return score


def _hit(place: Level, row: Row, score: float, rank: int) -> Hit:
    return Hit(
        video_id=row["video_id"],
        start_ms=0 if place.table == "videos" else row[place.start],
        end_ms=row[place.end],
        text=row[place.text] or "",
        score=score,
        rank=rank,
        chunk_index=row.get("chunk_index"),
        similarity=score if "_distance" in row else None,
    )
