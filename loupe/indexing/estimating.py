"""What indexing a plan would take, before any model is called: `--plan`."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from loupe import storage
from loupe.indexing.planning import Plan
from loupe.indexing.stages import Film, Settings
from loupe.media.opening import MediaError
from loupe.media.probing import probe
from loupe.media.text_tracks import TEXT_CODECS
from schemas.messages import Usage

PIXELS_PER_TOKEN = 32 * 32
"""Qwen3-VL's: patches of 16 px, merged two by two. Other models differ; the estimate says so."""
CHARACTERS_PER_TOKEN = 4
CAPTION_TOKENS = 120
SUMMARY_TOKENS = 150
VIDEO_SUMMARY_TOKENS = 600
"""What these usually take; the config bounds them higher."""
SECONDS_A_REQUEST = 10
"""Of film, about, whose speech a transcriber is given at a time."""
READERS = 16
"""Headers read at a time: a header is a few ranged reads, most of the time spent waiting."""


@dataclass(frozen=True)
class Header:
    """What a film's header says; None where it cannot be read."""

    seconds: float
    pixels: int
    listens: bool
    """It has sound and no subtitles."""


def estimate(plan: Plan, settings: Settings) -> dict[str, object]:
    """Films, hours and frames that are left; about how many tokens and dollars they take, if no caption is shared."""
    with ThreadPoolExecutor(READERS) as readers:
        found = list(readers.map(lambda film: read_header(film, settings), plan.pending))
    read = [(film, header) for film, header in zip(plan.pending, found, strict=True) if header is not None]
    index = settings.config.index
    left = [header.seconds * (1 - film.current) for film, header in read]
    frames_of = [math.ceil(header.seconds * (1 - film.captioned) * index.fps) for film, header in read]
    frames = sum(frames_of)
    chunks = sum(math.ceil(seconds / index.chunk_seconds) for seconds in left)
    prompt = len(settings.caption_prompt.text) / CHARACTERS_PER_TOKEN
    image_tokens = sum(
        count * header.pixels / PIXELS_PER_TOKEN for count, (_, header) in zip(frames_of, read, strict=True)
    )
    captions = Usage(prompt_tokens=round(frames * prompt + image_tokens), completion_tokens=frames * CAPTION_TOKENS)
    parts = [math.ceil(header.seconds / index.chunk_seconds) for _, header in read]
    condensed = sum(condensings(count, index.summary_fan_in) for count in parts)
    summaries = Usage(
        prompt_tokens=round(sum(left) * index.fps) * CAPTION_TOKENS + sum(parts) * SUMMARY_TOKENS,
        completion_tokens=chunks * SUMMARY_TOKENS + condensed * VIDEO_SUMMARY_TOKENS,
    )
    heard = sum(seconds for seconds, (_, header) in zip(left, read, strict=True) if header.listens)
    sound = heard if settings.transcriber else 0.0
    return {
        "films_to_index": len(plan.pending),
        "films_finished": len(plan.finished),
        "films_given_up": len(plan.given_up),
        "films_unreadable": len(found) - len(read),
        "hours": round(sum(left) / 3600, 2),
        "chunks": chunks,
        "frames": frames,
        "prompt_tokens_about": captions.prompt_tokens + summaries.prompt_tokens,
        "completion_tokens_about": captions.completion_tokens + summaries.completion_tokens,
        "seconds_of_sound_at_most": round(sound),
        "transcriber_requests_about": math.ceil(sound / SECONDS_A_REQUEST),
        "cost_usd_about": round(
            settings.config.cost(captions, "captioner")
            + settings.config.cost(summaries, "summarizer")
            + settings.config.cost_of_sound(sound),
            2,
        ),
        "assumed": f"{PIXELS_PER_TOKEN} pixels a token, {CAPTION_TOKENS} tokens a caption, no caption shared, "
        f"speech all the time, a request to the transcriber every {SECONDS_A_REQUEST} s of it",
    }


def condensings(parts: int, fan_in: int) -> int:
    """Requests that condense so many summaries, `fan_in` at a time, until one is left."""
    requests = math.ceil(parts / fan_in)
    return requests + condensings(requests, fan_in) if requests > 1 else requests


def read_header(film: Film, settings: Settings) -> Header | None:
    """A film's length and the size at which its frames are sent."""
    try:
        with storage.open_seekable(film.uri) as file:
            info = probe(file)
    except (MediaError, storage.StorageError):
        return None
    shrink = min(1.0, settings.config.index.long_side / max(info.width, info.height))
    written = film.sidecars or any(track.codec in TEXT_CODECS for track in info.subtitle_tracks)
    listens = info.has_audio and not written
    return Header(info.duration_ms / 1000, round(info.width * shrink) * round(info.height * shrink), listens)
