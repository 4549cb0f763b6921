"""What is left to do of a library: the films there are, held against the tables. Pure but for the listing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from loupe import storage
from loupe.indexing.stages import FILM, NO_SUMMARY, Film, Settings
from loupe.library import ChunkMarker

SIDECARS = (".srt", ".vtt")
PERMANENT = "MediaError"
"""Failures of this class lie in the film itself: the same bytes would fail again, so they are not tried again."""

OF_A_FILM = ("status", "etag", "size", "chunk_count", "sampler", "captioner", "summarizer", "transcriber")
"""Columns of `videos` by which a film is planned."""
REPLACING = "replacing"
"""Status of a film of whose markers some may be those of another object or sampler: none is taken on trust."""


@dataclass(frozen=True)
class Plan:
    """The films to index now, and those that need nothing."""

    pending: tuple[Film, ...]
    finished: tuple[str, ...]
    given_up: tuple[str, ...]
    """Films that failed before in a way that lies in their bytes, which are still the same."""
    removed: tuple[str, ...] = ()
    """Films that the tables know and the library no longer has."""

    @property
    def listed(self) -> int:
        """How many films the library has."""
        return len(self.pending) + len(self.finished) + len(self.given_up)


def list_films(library: str) -> list[Film]:
    """Every film of a library with its sidecar subtitles. Raises storage.StorageError where there is no library."""
    entries = list(storage.list_files(library, suffixes=(*storage.VIDEO_SUFFIXES, *SIDECARS)))
    videos = [entry for entry in entries if not entry.path.lower().endswith(SIDECARS)]
    stems = {_stem(entry.path) for entry in videos}
    sidecars = defaultdict(list)
    for entry in entries:
        if entry.path.lower().endswith(SIDECARS):
            stem = _stem(entry.path)
            sidecars[stem if stem in stems else _without_language(stem)].append(entry)
    films = []
    for entry in videos:
        beside = sidecars[_stem(entry.path)]
        etag = storage.joined_etag(entry, beside)
        films.append(Film(entry.path, entry.uri, etag, entry.size, tuple(sidecar.uri for sidecar in beside)))
    return films


def _stem(path: str) -> str:
    """`a/b.mp4` and its sidecar `a/b.srt` have one stem."""
    return str(PurePosixPath(path).with_suffix(""))


def _without_language(stem: str) -> str:
    """The stem of `a/b.mp4` for that of its sidecar `a/b.en.vtt`."""
    language = PurePosixPath(stem).suffix.removeprefix(".")
    return _stem(stem) if language.isalpha() and len(language) in (2, 3) else stem


def plan(
    films: Sequence[Film],
    videos: Mapping[str, Mapping[str, Any]],
    markers: Iterable[ChunkMarker],
    failures: Iterable[Mapping[str, Any]],
    settings: Settings,
) -> Plan:
    """Hold the films against rows of `videos` (by video_id) and `failures`, and the markers of chunks."""
    by_film: dict[str, list[ChunkMarker]] = defaultdict(list)
    for marker in markers:
        by_film[marker.video_id].append(marker)
    failures = list(failures)
    broken = {(row["video_id"], row["etag"]) for row in failures if _settled(row)}
    pending, finished, given_up = [], [], []
    for film in films:
        row = videos.get(film.video_id)
        if row is not None and is_finished(film, row, settings):
            finished.append(film.video_id)
        elif (film.video_id, film.etag) in broken:
            given_up.append(film.video_id)
        else:
            trusted = row is not None and _trusted(film, row, settings)
            film = replace(film, trusted=trusted, markers=tuple(by_film[film.video_id]))
            pending.append(_with_shares(film, row, settings) if row is not None and trusted else film)
    known = {*videos, *(row["video_id"] for row in failures)}
    removed = sorted(known - {film.video_id for film in films})
    return Plan(tuple(pending), tuple(finished), tuple(given_up), tuple(removed))


def _with_shares(film: Film, row: Mapping[str, Any], settings: Settings) -> Film:
    """The film with the shares of its chunks that are done. Told without its subtitles, whose change is rare."""
    captioned = [one for one in film.markers if one.caption_lineage == settings.caption_lineage(one.lineage)]
    summarized = [one for one in captioned if one.summary_lineage != NO_SUMMARY]
    same = (row["summarizer"], row["transcriber"]) == (settings.film_summarizer, settings.transcriber)
    chunks = max(row["chunk_count"], len(film.markers), 1)
    return replace(film, captioned=len(captioned) / chunks, current=len(summarized) / chunks if same else 0.0)


def is_lost(failure: Mapping[str, Any]) -> bool:
    """A row of `failures` of a chunk whose pictures nobody can decode, however often it is tried."""
    of_pictures = failure["chunk_index"] != FILM and failure["stage"] == "sample"  # a chunk goes on without its sound
    return of_pictures and str(failure["class"]).startswith(PERMANENT)


def _settled(failure: Mapping[str, Any]) -> bool:
    return failure["chunk_index"] == FILM and str(failure["class"]).startswith(PERMANENT)


def _trusted(film: Film, row: Mapping[str, Any], settings: Settings) -> bool:
    same = _same_object(film, row) and row["sampler"] == settings.sampler
    return same and row["status"] != REPLACING


def _same_object(film: Film, row: Mapping[str, Any]) -> bool:
    return (row["etag"], row["size"]) == (film.etag, film.size)


def is_finished(film: Film, row: Mapping[str, Any], settings: Settings) -> bool:
    """The film's rows are what this config would write again."""
    made_by = (row["sampler"], row["captioner"], row["summarizer"], row["transcriber"])
    wanted = (settings.sampler, settings.captioner, settings.film_summarizer, settings.transcriber)
    return row["status"] == "complete" and _same_object(film, row) and made_by == wanted
