"""Search what was written about the film: frames, minutes, spoken lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from loupe.agent.films import Film
from loupe.agent.scene import Scene
from loupe.agent.stamps import stretch
from loupe.agent.tool import Observation, tool
from loupe.library.search import LEVELS, Hit
from loupe.timeline import Cluster, cluster
from loupe.untrusted import as_data, cut


@dataclass(frozen=True)
class Run:
    """Hits next to each other in time with the same text."""

    start_ms: int
    end_ms: int
    count: int
    similarity: float | None
    """None where words were searched for, not meaning."""
    text: str


@tool()
async def search_captions(
    scene: Scene,
    query: Annotated[str, Field(min_length=1, max_length=300)],
    start: float | None = None,
    end: float | None = None,
    level: Literal["frames", "chunks", "transcripts"] = "frames",
    top_k: Annotated[int | None, Field(ge=1, le=1000)] = None,
    film: int = 1,
) -> Observation:
    """Search captions of frames (frames), summaries of minutes (chunks) or spoken lines (transcripts) for a phrase,
    between two times in seconds or in the whole film. Gives the places where hits gather, in order of time, with how
    many there are and how similar the best is (1 is the same), and the hits, best first, each with its time in
    seconds. Weigh both: many hits close together say more than one that is a little more similar."""
    where = scene.film(film)
    start_ms, end_ms = scene.window(where, start, end)
    hits = await scene.search(
        query, where, level=level, start_ms=start_ms, end_ms=end_ms, top_k=top_k or scene.settings.top_k
    )
    if not hits:
        return Observation(scene.prompt("search_nothing", query=as_data(query)))
    shown = scene.settings.shown
    gathered = sorted(places_of(hits, LEVELS[level].gap_ms)[: shown.clusters], key=lambda each: each.start_ms)
    texts = texts_of(scene, where, hits) if level == "frames" else [hit.text for hit in hits]
    runs = collapse(hits, texts, LEVELS[level].gap_ms)[: shown.hits]
    is_by_meaning = any(hit.similarity is not None for hit in hits)
    places = [cluster_line(each, is_by_meaning) for each in gathered]
    told = {"query": as_data(query), "film": film, "count": len(hits)}
    return Observation(
        scene.prompt(
            "search_result",
            clusters="\n".join(places),
            hits="\n".join(run_line(run, shown.hit_letters) for run in runs),
            **told,
        ),
        brief=scene.prompt("search_brief", clusters="\n".join(places), **told),
    )


def texts_of(scene: Scene, film: Film, hits: Sequence[Hit]) -> list[str]:
    """Of each frame that was found, those fields of its caption that the config shows.

    A hit that was indexed after the film was read is told as it was found.
    """
    fields = scene.settings.shown.caption_fields
    captions = [(hit, film.caption_at(hit.start_ms)) for hit in hits]
    return [caption.text(fields) if caption else hit.text for hit, caption in captions]


def places_of(hits: Sequence[Hit], gap_ms: int) -> list[Cluster]:
    """Where hits of one film gather, the most similar place first (what a fused search ranks by means nothing to a
    reader), and of equals, such as all that were found by their words alone, the one with the most hits."""
    middles = [(hit.start_ms + hit.end_ms) // 2 for hit in hits]
    found = cluster(middles, [hit.similarity or 0.0 for hit in hits], gap_ms)
    return sorted(found, key=lambda each: (-each.best_score, -each.count, each.start_ms))


def collapse(hits: Sequence[Hit], texts: Sequence[str], gap_ms: int) -> list[Run]:
    """Neighbours in time with the same text as one, in the order of the best of each."""
    runs: list[tuple[str, list[Hit]]] = []
    for hit, text in sorted(zip(hits, texts, strict=True), key=lambda pair: pair[0].start_ms):
        if runs and runs[-1][0] == text and hit.start_ms - runs[-1][1][-1].end_ms <= gap_ms:
            runs[-1][1].append(hit)
        else:
            runs.append((text, [hit]))
    runs.sort(key=lambda run: min(hit.rank for hit in run[1]))
    return [Run(own[0].start_ms, own[-1].end_ms, len(own), similarity_of(own), text) for text, own in runs]


def similarity_of(hits: Sequence[Hit]) -> float | None:
    """Of the most similar hit."""
    return max((hit.similarity for hit in hits if hit.similarity is not None), default=None)


def cluster_line(each: Cluster, is_by_meaning: bool) -> str:
    """A place where hits gather."""
    density = f", {each.density_per_minute:.0f} a minute" if each.count > 1 else ""
    best = f", best {each.best_score:.2f}" if is_by_meaning else ""
    hits = "hit" if each.count == 1 else "hits"
    return f"{stretch(each.start_ms, each.end_ms)}: {each.count} {hits}{best}{density}"


def run_line(run: Run, letters: int) -> str:
    """Hits as one line."""
    similar = f" {run.similarity:.2f}" if run.similarity is not None else ""
    many = f" x{run.count}" if run.count > 1 else ""
    return f"[{stretch(run.start_ms, run.end_ms)}]{similar}{many} {cut(as_data(run.text), letters)}"
