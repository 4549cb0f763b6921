"""Subtitle files."""

import pytest

from loupe.subtitles import Line, decode, parse

SRT = """\
1
00:00:01,000 --> 00:00:02,500
<i>Hello</i>, <font color="#ff0000">Ann</font> &amp; Bob.

2
01:02:03,004 --> 01:02:05,000 X1:10 X2:20
{\\an8}Two
lines
"""
VTT = """\
WEBVTT - a title
Kind: captions

NOTE nothing that is shown
for two lines

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start position:10%
<v Ann>Hello, <c.loud>Bob</c> <00:00:01.500><b>again</b>

01:02:03.004 --> 01:02:05.000
- One
- Two
"""


def test_subrip():
    assert parse(SRT) == [
        Line(1_000, 2_500, "Hello, Ann & Bob."),
        Line(3_723_004, 3_725_000, "Two\nlines"),
    ]


def test_webvtt():
    assert parse(VTT) == [
        Line(1_000, 2_500, "Hello, Bob again"),
        Line(3_723_004, 3_725_000, "- One\n- Two"),
    ]


@pytest.mark.parametrize("text", [SRT, VTT])
@pytest.mark.parametrize(
    "change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t + "\n\n \n\n"]
)
def test_line_ends_and_marks_do_not_matter(text, change):
    assert parse(change(text)) == parse(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding):
    text = "1\n00:00:01,000 --> 00:00:02,000\nCafé “Müller” – naïve\n"
    assert parse(text.encode(encoding)) == [Line(1_000, 2_000, "Café “Müller” – naïve")]


def test_bytes_without_a_meaning_do_not_stop_a_file():
    assert decode(b"caf\xe9 \x81") == "café �"


def test_broken_cues_are_left_out():
    text = """\
1
00:00:01,000 --> 00:00:02,000
good

2
00:00:xx,000 --> 00:00:03,000
no time

3
00:00:05,000 --> 00:00:04,000
ends before it begins

4
00:00:06,000 --> 00:00:07,000

just words

5
00:00:08,000 --> 00:00:09,000
good too
"""
    assert [line.text for line in parse(text)] == ["good", "good too"]


def test_a_missing_empty_line_does_not_join_cues():
    text = "1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:03,000 --> 00:00:04,000\ntwo\n"
    assert [line.text for line in parse(text)] == ["one", "two"]
    without_numbers = "00:01.000 --> 00:02.000\none\n00:03.000 --> 00:04.000\ntwo"
    assert [line.text for line in parse(without_numbers)] == ["one", "two"]


def test_lines_come_in_order_of_time():
    text = "00:05.000 --> 00:06.000\nlater\n\n00:01.000 --> 00:02.000\nearlier"
    assert [line.text for line in parse(text)] == ["earlier", "later"]


def test_signs_that_are_no_tags_stay():
    assert parse("00:01.000 --> 00:02.000\n1 < 2 > 0 <3 a<b")[0].text == "1 < 2 > 0 <3 a<b"


@pytest.mark.parametrize("text", ["", "\n\n", "WEBVTT", "not a subtitle file", b"\x00\xff\x00\x12" * 100])
def test_what_is_no_subtitle_file_has_no_lines(text):
    assert parse(text) == []
