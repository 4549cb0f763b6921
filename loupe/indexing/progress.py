"""What a job has done so far: a line now and then while it runs, a report at the end."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple

from loupe.config import Config, Role
from loupe.indexing.finishing import Finished
from loupe.indexing.stages import FILM, Chunk, Span
from loupe.ticker import Ticker
from schemas.messages import Usage


class Worked(NamedTuple):
    """When a stage was at work, in seconds of the clock."""

    seconds: float = 0.0
    first: float = math.inf
    last: float = -math.inf

    def with_span(self, span: Span) -> "Worked":
        """With another chunk's."""
        began, ended = span
        return Worked(self.seconds + ended - began, min(self.first, began), max(self.last, ended))

    def times(self, since: float) -> dict[str, float]:
        """Its seconds, and when it first began and last ended, counted from a time."""
        first, last = self.first - since, self.last - since
        return {"seconds": round(self.seconds, 2), "first": round(first, 2), "last": round(last, 2)}


class Progress:
    """Counts chunks as they come out of the pipeline, and prints a line every `seconds` while its block runs."""

    def __init__(self, films: int, total_bytes: float, finished: int, removed: int, seconds: float) -> None:
        self.films_pending = films
        self.films_finished = finished
        self.films_removed = removed
        self.total_bytes = max(total_bytes, 1)
        self.counts: Counter[str] = Counter()
        self.stages: dict[str, Worked] = {}
        self.failures: Counter[str] = Counter()
        self.usage: defaultdict[Role, Usage] = defaultdict(Usage)
        self.heard_seconds = 0.0
        """Of sound that the transcriber was given."""
        self.bytes_done = 0.0
        self.began = time.time()
        self._started = time.monotonic()
        self._ticker = Ticker(self.line, seconds)

    def __enter__(self) -> "Progress":
        self._ticker.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ticker.__exit__(kind, error, at)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Count chunks that came out of the last stage."""
        for chunk in chunks:
            self.bytes_done += chunk.film.size / max(chunk.chunk_count, 1)
            for stage, span in chunk.spans.items():
                self.stages[stage] = self.stages.get(stage, Worked()).with_span(span)
            self.failures.update(f"{failure.stage} {failure.kind}" for failure in chunk.failures)
            if chunk.index == FILM:
                continue
            for role, usage in chunk.usage.items():
                self.usage[role] += usage
            shared = sum(row.same_as_ts_ms is not None for row in chunk.captions)
            self.counts.update(
                chunks=1,
                unchanged_chunks=int(chunk.unchanged),
                failed_chunks=int(chunk.failed),
                captions=(len(chunk.captions) - shared) * chunk.captions_are_new,
                shared_captions=shared * chunk.captions_are_new,
                requests=chunk.requests,
                heard_requests=chunk.heard_requests,
            )
            self.heard_seconds += chunk.heard_seconds

    def add_films(self, films: Iterable[Finished]) -> None:
        """Count films that came out of the finishing stage."""
        for film in films:
            self.usage["summarizer"] += film.usage
            self.counts.update(films=int(film.failure is None), requests=film.requests)
            if film.failure is not None:
                self.failures.update([f"{film.failure['stage']} {film.failure['class']}"])

    def line(self) -> str:
        """The progress line."""
        captions = self.counts["captions"]
        frames = captions + self.counts["shared_captions"]
        share = min(self.bytes_done / self.total_bytes, 1.0)
        left = f"{self.seconds * (1 - share) / share:.0f} s left" if share > 0 else "no estimate yet"
        return (
            f"{self.seconds:6.0f} s  films {self.counts['films']}/{self.films_pending}  "
            f"chunks {self.counts['chunks']}  frames {frames}  captions {captions} ({captions / self.seconds:.1f}/s)  "
            f"shared {self.counts['shared_captions']}  failures {self.failures.total()}  {left}"
        )

    def report(self, config: Config) -> dict[str, object]:
        """What report.json holds; `stages` has each one's seconds, and when it first began and last ended.

        Both count from `began`. Stages work at the same time, and on several chunks: their seconds add up to more.
        """
        usage = sum(self.usage.values(), Usage())
        return {
            "began": datetime.fromtimestamp(self.began, UTC).isoformat(),
            "seconds": round(self.seconds, 2),
            "films": {
                "indexed": self.counts["films"],
                "pending": self.films_pending,
                "finished_before": self.films_finished,
                "removed": self.films_removed,
                "pruned": self.counts["pruned"],
            },
            "chunks": self.counts["chunks"],
            "unchanged_chunks": self.counts["unchanged_chunks"],
            "failed_chunks": self.counts["failed_chunks"],
            "frames": self.counts["captions"] + self.counts["shared_captions"],
            "captions": self.counts["captions"],
            "shared_captions": self.counts["shared_captions"],
            "captions_per_second": round(self.counts["captions"] / self.seconds, 2),
            "requests": self.counts["requests"],
            "transcriber": {
                "requests": self.counts["heard_requests"],
                "seconds_of_sound": round(self.heard_seconds, 1),
            },
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost_usd": round(
                sum(config.cost(usage, role) for role, usage in self.usage.items())
                + config.cost_of_sound(self.heard_seconds),
                4,
            ),
            "stages": {name: stage.times(self.began) for name, stage in self.stages.items()},
            "failures": dict(self.failures),
        }
