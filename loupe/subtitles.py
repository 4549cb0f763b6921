"""Subtitles as lines with times: .srt and .vtt files, whatever wrote them."""

import codecs
import html
import re
from dataclasses import dataclass

TIME = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
ARROW = re.compile(rf"^\s*{TIME.pattern}\s*-->\s*{TIME.pattern}")
TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
"""HTML-like tags and the overrides of SubStation."""
NOT_CUES = ("NOTE", "STYLE", "REGION", "WEBVTT")
"""First words of WebVTT blocks that nobody speaks."""


@dataclass(frozen=True)
class Line:
    """What is shown from one time to another, as plain text on one line."""

    start_ms: int
    end_ms: int
    text: str
    track: int = -1
    """Index of the stream that it came from; -1: a file of its own."""


@dataclass(frozen=True)
class Parsed:
    """The lines of a file, in order of time, and how many cues could not be read."""

    lines: tuple[Line, ...]
    broken: int


def parse(data: bytes) -> Parsed:
    """Read .srt or .vtt. Cues without times, without text, or that end before they begin are counted as broken."""
    lines, broken = [], 0
    for block in re.split(r"\n\s*\n", decode(data).replace("\r\n", "\n").replace("\r", "\n")):
        rows = block.strip("\n").split("\n")
        if not block.strip() or rows[0].lstrip().split(" ")[0] in NOT_CUES:
            continue
        at = next((index for index, row in enumerate(rows[:2]) if ARROW.match(row)), None)
        line = None if at is None else _line(rows[at], rows[at + 1 :])
        if line is None:
            broken += 1
        else:
            lines.append(line)
    return Parsed(tuple(sorted(lines, key=lambda line: (line.start_ms, line.end_ms))), broken)


def decode(data: bytes) -> str:
    """Text of a subtitle file: UTF-8 or UTF-16 by its mark, else UTF-8 if it is that, else Windows' Western."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def plain(text: str) -> str:
    """Text without tags, entities and line breaks."""
    return " ".join(html.unescape(TAG.sub("", text.replace(r"\N", " "))).split())


def _line(times: str, rows: list[str]) -> Line | None:
    found = ARROW.match(times)
    text = plain(" ".join(rows))
    if found is None or not text:
        return None
    start, end = _ms(found.groups()[:4]), _ms(found.groups()[4:])
    return Line(start, end, text) if end > start else None


def _ms(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, fraction = parts
    return (int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)) * 1000 + int(
        (fraction or "0").ljust(3, "0")
    )
