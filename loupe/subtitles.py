"""Subtitle files, SubRip (.srt) and WebVTT (.vtt): text in, lines with times out."""

import codecs
import html
import re
from dataclasses import dataclass

STAMP = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
TIMING = re.compile(rf"\s*{STAMP}\s*-->\s*{STAMP}(?:\s.*)?")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|</>|<\d[\d:.]*>|\{\\[^{}]*\}")
"""HTML and WebVTT tags with their classes and voices, WebVTT time tags, ASS overrides."""


@dataclass(frozen=True)
class Line:
    """What is said or written from one time to another; `track` is the stream's index where a film brought it."""

    start_ms: int
    end_ms: int
    text: str
    track: int | None = None


def parse(text: str | bytes) -> list[Line]:
    """The cues of a subtitle file in order of time, tags stripped.

    Left out are blocks that are no cue, and cues that end before they begin or have no text.
    """
    text = decode(text) if isinstance(text, bytes) else text
    cues = filter(None, map(_cue, _blocks(text.removeprefix("\ufeff"))))
    return sorted(cues, key=lambda line: (line.start_ms, line.end_ms))


def decode(data: bytes) -> str:
    """The text of a subtitle file: UTF-16 where it says so, else UTF-8, else Windows-1252."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def plain_text(text: str) -> str:
    """A cue's words, without tags and entities, each line trimmed."""
    bare = html.unescape(TAG.sub("", text)).replace("\u00a0", " ")
    return "\n".join(line for line in map(str.strip, bare.splitlines()) if line)


def _blocks(text: str) -> list[list[str]]:
    """Runs of lines between empty ones. A timing line in the middle begins a new one, as does the number above it."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        block = blocks[-1]
        if not line.strip():
            blocks.append([])
        elif TIMING.fullmatch(line) and any(TIMING.fullmatch(earlier) for earlier in block[:2]):
            blocks.append([block.pop(), line] if block[-1].strip().isdigit() else [line])
        else:
            block.append(line)
    return [block for block in blocks if block]


def _cue(block: list[str]) -> Line | None:
    """The cue of a block: a number or a name, the times, the text."""
    for index, line in enumerate(block[:2]):
        timing = TIMING.fullmatch(line)
        if timing:
            start_ms, end_ms = _ms(timing.groups()[:4]), _ms(timing.groups()[4:])
            text = plain_text("\n".join(block[index + 1 :]))
            return Line(start_ms, end_ms, text) if text and end_ms > start_ms else None
    return None


def _ms(stamp: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, fraction = stamp
    whole_s = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return 1000 * whole_s + int((fraction or "").ljust(3, "0"))
