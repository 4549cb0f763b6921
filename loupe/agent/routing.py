"""Which films a question is about: those that it names, or those that a search leads to."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from loupe.agent.films import Film, FilmShelf, HalfIndexed, UnknownFilm
from loupe.agent.scene import Desk, Limits, Scene
from loupe.library.search import RRF_K, LevelName
from schemas.questions import Question

LEVELS: tuple[LevelName, ...] = ("frames", "chunks", "transcripts")
"""Searched for a film. Not the summaries of whole films: they tell what lies after a question's limit."""


async def open_scene(desk: Desk, question: Question, limits: Limits) -> Scene:
    """The question with its films; where they are too many, or none are named, the best few that are indexed.

    Raises UnknownFilm, and HalfIndexed for a film that is named.
    """
    named = await asyncio.gather(*(desk.films.get(video) for video in question.videos))
    if named and len(named) <= desk.answer.films:
        return Scene(desk, question, named, limits)
    found = await route(desk, question, [film.video_id for film in named] or None)
    chosen = await first_whole(desk.films, found, desk.answer.films)
    if not chosen:
        raise UnknownFilm("no film of the library has anything to do with the question")
    return Scene(desk, question, chosen, limits, routed=True)


async def first_whole(films: FilmShelf, video_ids: Sequence[str], count: int) -> list[Film]:
    """The first so many films that are not half indexed."""
    whole: list[Film] = []
    for video_id in video_ids:
        with suppress(HalfIndexed):
            whole.append(await films.get(video_id))
        if len(whole) == count:
            break
    return whole


async def route(desk: Desk, question: Question, among: list[str] | None) -> list[str]:
    """The video_ids that a search for the question finds, best first: ranks of films in each level, fused (RRF)."""
    if desk.library is None or desk.embedder is None:
        raise UnknownFilm("without an index a question names its films, a few at most")
    text = " ".join((question.question, *question.options))
    vector = await asyncio.to_thread(desk.embedder.embed_query, text)
    scores: dict[str, float] = {}
    for level in LEVELS:
        found = await asyncio.to_thread(
            desk.library.search,
            text,
            vector.tolist(),
            level=level,
            video_id=among,
            end_ms=question.before_ms,
            mode=desk.answer.search_mode,
            top_k=desk.answer.top_k,
        )
        limit = question.before_ms
        films = dict.fromkeys(hit.video_id for hit in found.hits if limit is None or hit.end_ms <= limit)
        for rank, film in enumerate(films, start=1):
            scores[film] = scores.get(film, 0.0) + 1 / (RRF_K + rank)
    return sorted(scores, key=lambda film: (-scores[film], film))
