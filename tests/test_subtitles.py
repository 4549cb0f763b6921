"""Subtitle files of all kinds."""

import pytest

from loupe.subtitles import parse

SRT = (
    "1\r\n00:00:01,500 --> 00:00:03,000\r\n<i>Where is</i>\r\nthe key?\r\n\r\n"
    "2\r\n01:00:00,000 --> 01:00:01,000\r\nHere.\r\n"
)
VTT = (
    "WEBVTT - title\n\nNOTE nobody says this\n\nintro\n00:01.500 --> 00:03.000 align:start\nWhere is the &amp; key?\n\n"
    "STYLE\n::cue {}\n\nnonsense\n\n00:05.000 --> 00:06.000\nHere.\n"
)


def lines(data: str | bytes) -> list[tuple[int, int, str]]:
    return [(line.start_ms, line.end_ms, line.text) for line in parse(data)]


def test_srt() -> None:
    assert lines(SRT) == [(1500, 3000, "Where is\nthe key?"), (3_600_000, 3_601_000, "Here.")]


def test_vtt_without_its_notes_and_styles() -> None:
    assert lines(VTT) == [(1500, 3000, "Where is the & key?"), (5000, 6000, "Here.")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding: str) -> None:
    assert lines("1\n00:00:01,000 --> 00:00:02,000\nCafé\n".encode(encoding)) == [(1000, 2000, "Café")]


@pytest.mark.parametrize("text", ["", "no cue at all", "1\n00:00:05,000 --> 00:00:01,000\nBackwards\n"])
def test_what_is_no_cue_is_passed_over(text: str) -> None:
    assert lines(text) == []
