"""The page of a run: what stands on it, in which order, and that nothing on it runs or is fetched."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loupe.reporting import plots
from loupe.reporting.axes import ticks
from loupe.reporting.html import Html, join, own, tag
from loupe.reporting.page import page
from loupe.reporting.report import About, Against, Report
from loupe.scoring.amortizing import Costs
from loupe.scoring.calibration import reliability
from loupe.scoring.scored import Looked, score_run
from loupe.scoring.summary import Sampling, compare, summarize
from schemas.questions import UNANSWERABLE, Question
from schemas.results import answer_row
from schemas.traces import Evidence, RoleModel, Trace
from tests.browser import Tab, installed, tab
from tests.html_page import CANARY, Seen
from tests.results_scene import FILM, call, doubt, frame, heard, letter, trace, turn

FEW = Sampling(resamples=20)


def report(traces: Iterable[Trace], questions: list[Question], **more: Any) -> Report:
    answers = {each.question_id: answer_row(each) for each in traces}
    looked = {each.question_id: Looked.of(each.as_row()) for each in traces}
    scores = score_run(questions, answers, looked)
    summary = summarize(scores, FEW)
    told: dict[str, Any] = {"about": About.of(answers.values()), "questions": questions, "scores": scores}
    told |= {"answers": answers, "summary": summary, "sampling": FEW, "costs": None, "against": (), "notes": ()}
    told |= {"output": "runs/mine"}
    return Report(**told | more)


def seen(traces: list[Trace], questions: list[Question], **more: Any) -> Seen:
    return Seen(page(report(traces, questions, **more), {each.question_id: each.as_row() for each in traces}))


def everywhere(text: str) -> tuple[Question, Trace]:
    """A question and a trace that say this wherever a model, a film or a person may say something."""
    question = letter(
        text,
        question=text,
        capability=text,
        options=(text, "a dog", "an egg", "rain"),
        video=text,
    )
    looked = turn(
        0,
        looked=(12, 13),
        **dict.fromkeys(("tool", "thought", "observation", "arguments", "result"), text),
        media=(frame(12, text), frame(13, "other")),
        call=call(text, said=text),
    )
    unread = turn(1, parsed=False, tool=None, arguments=None, call=call(text, said=text), is_error=True, result=text)
    verdict = doubt(text, text, possible_errors=(text,), suggestion=text, error=text, media=(frame(15, text),))
    run = trace(
        question,
        text,
        turns=(looked, unread),
        verdicts=(verdict,),
        error=text,
        policy=text,
        config_hash=text,
        date=text,
        models=(RoleModel(role=text, model=text),),
        evidence=(Evidence(video_id=text, start_ms=1, end_ms=2, source=text, lineage=text),),
    )
    return question, run


def test_what_models_and_films_say_is_text_and_never_markup() -> None:
    question, run = everywhere(CANARY)
    found = seen([run], [question])
    assert found.text.count(CANARY) > 15
    assert len(found.all("script")) == len(found.all("style")) == 1
    assert not found.all("img")
    attributes = {name for _, each in found.elements for name in each}
    assert not {name for name in attributes if name.startswith("on")} | ({"src", "href", "style"} & attributes)


def test_only_the_script_and_the_style_of_the_package_are_allowed_and_nothing_is_fetched() -> None:
    found = seen([trace(letter("q"), "A")], [letter("q")])
    (policy,) = [each["content"] for each in found.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].startswith("'sha256-")
    assert rules["style-src"].startswith("'sha256-")
    assert set(rules) == {"default-src", "script-src", "style-src"}
    assert not found.all("link")


def test_wrong_answers_stand_first_the_surest_of_them_on_top() -> None:
    said = {"right": ("A", 0.9), "unsure": ("B", 0.2), "sure": ("C", 0.95)}
    questions = [letter(name) for name in said]
    runs = [trace(each, *said[each.question_id]) for each in questions]
    bodies = [each for each in seen(runs, questions).all("tbody") if "data-outcome" in each]
    assert [each["data-outcome"] for each in bodies] == ["wrong", "wrong", "right"]
    found = seen(runs, questions).text
    assert found.index("in sure?") < found.index("in unsure?") < found.index("in right?")


def test_a_question_opens_to_its_turns() -> None:
    question = letter("q")
    turns = (
        turn(0, "search_captions", thought="A cat is asked for.", result="3 hits", arguments='{"query": "cat"}'),
        turn(1, looked=(12, 75), observation="It jumps."),
        turn(2, parsed=False, tool=None, call=call(said="{oops"), is_error=True, result="Say JSON."),
        turn(3, "answer", result="The critic doubts it."),
        turn(4, "answer", round_=1),
    )
    verdict = doubt("B", "A", media=(frame(40),))
    text = seen([trace(question, "A", turns=turns, verdicts=(verdict,))], [question]).text
    told = ["search_captions", "A cat is asked for.", '{"query": "cat"}', "3 hits", "It jumps.", "0:00:12, 0:01:15"]
    told += ["not parsed", "{oops", "Say JSON.", "Critic:", "sent the answer back", "The cat may be a dog.", "Turn 5"]
    places = [text.index(each) for each in told]
    assert places == sorted(places)


def test_a_question_that_was_not_asked_is_there_and_cannot_be_opened() -> None:
    found = seen([trace(letter("asked"), "A")], [letter("asked"), letter("missed")])
    outcomes = [each["data-status"] for each in found.all("tbody") if "data-status" in each]
    assert outcomes == ["missing", "answered"]
    assert sum(each.get("class") == "opener" for each in found.all("button")) == 1


def test_answers_are_told_as_people_say_them() -> None:
    times = letter("t", "[[10, 20.5], [30, 40]]", options=(), answer_type="spans")
    nobody = letter("n", UNANSWERABLE, answerable=False)
    runs = [trace(letter("c"), "B"), trace(times, "around noon"), trace(nobody, None)]
    text = seen(runs, [letter("c"), times, nobody]).text
    for told in ("B · a dog barks", "A · a cat jumps", "10-20.5 s, 30-40 s", "around noon", "no answer"):
        assert told in text
    assert "the film does not say" in text


def test_a_strip_shows_where_in_the_film_one_looked_and_none_is_of_two_films() -> None:
    question = letter("q")
    verdict = doubt("A", "A", media=(frame(90),))
    one = trace(question, "A", turns=(turn(0, looked=(12, 40), sound=heard(10, 30)),), verdicts=(verdict,))
    two = trace(question, "A", turns=(turn(0, media=(frame(12), frame(12, "b.mp4"))),))
    told = "Where in the film: true times; looked at; listened to; critic looked at; evidence"
    assert told in [each["aria-label"] for each in seen([one], [question]).all("svg")]
    assert not [each for each in seen([two], [question]).all("svg") if "Where" in str(each["aria-label"])]


def test_sound_that_was_listened_to_stands_beside_the_frames() -> None:
    question = letter("q")
    turns = (
        turn(0, "listen", sound=heard(60, 90, given="words"), result="[60-62 s] the harbour"),
        turn(1, "listen", sound=heard(100, 130), result="The sound is played to you."),
        turn(2, "watch", looked=(12,), sound=heard(12, 20, given="words"), result="a dog barks"),
    )
    spoken = Evidence(video_id=FILM, start_ms=60_000, end_ms=62_000, source="transcripts", lineage="l")
    text = " ".join(seen([trace(question, "A", turns=turns, evidence=(spoken,))], [question]).text.split())
    assert "Evidence: 0:01:00-0:01:02 (transcripts)" in text
    assert "listened to 0:01:00-0:01:30, its words heard [60-62 s] the harbour" in text
    assert "listened to 0:01:40-0:02:10, the sound itself heard" in text
    assert "looked at 0:00:12 listened to 0:00:12-0:00:20, its words saw, heard a dog barks" in text


def test_very_long_texts_are_cut_and_say_so() -> None:
    question = letter("q")
    text = seen([trace(question, "A", turns=(turn(0, result="x" * 2500),))], [question]).text
    assert "(500 more letters in the trace)" in text


def whole() -> str:
    """The page of a run of which everything is known, beside another."""
    questions = [letter("1"), letter("t", "[[0, 10]]", options=(), answer_type="spans")]
    looked = (turn(0, looked=(12, 40), sound=heard(10, 30)), turn(1, "answer"))
    runs = [trace(questions[0], "A", verdicts=(doubt("B", "A"),), turns=looked), trace(questions[1], "[[0, 6]]")]
    others = report([trace(questions[0], "B", policy="passive")], questions)
    paired = compare(report(runs, questions).scores, others.scores, FEW)
    against = Against("runs/other", others.about, others.summary, others.scores, paired)
    more = {"against": (against,), "costs": Costs(1000, 100, 350), "notes": ("A note.",)}
    return page(report(runs, questions, **more), {each.question_id: each.as_row() for each in runs})


def test_everything_that_is_known_has_its_place() -> None:
    found = Seen(whole())
    for told in (
        "Accuracy",
        "Side by side",
        "retrieval_critic against",
        "points against passive",
        "The critic",
        "Calibration",
        "Frame relevance",
    ):
        assert told in found.text
    for told in ("Times", "R1@0.7", "The index pays from question 5 on.", "Effort a question", "A note."):
        assert told in found.text
    assert [each["data-against0"] for each in found.all("tbody") if "data-against0" in each] == ["better", "better"]


def test_tables_and_pictures_can_be_read_aloud() -> None:
    question = letter("q")
    found = seen([trace(question, "A")], [question], costs=Costs(1000, 100, 350))
    assert all(each.get("scope") in ("row", "col") for each in found.all("th"))
    assert all(each.get("role") == "img" and each.get("aria-label") for each in found.all("svg"))
    assert found.all("html") == [{"lang": "en"}]
    assert all(each.get("aria-expanded") == "false" for each in found.all("button") if each.get("class") == "opener")


# --- pictures


def titles(picture: Html) -> list[str]:
    parser = Seen(picture)
    return [text for text in parser.texts if ":" in text]


def test_a_histogram_counts_right_and_wrong_ones() -> None:
    drawn = plots.histogram(right=[2, 2, 3], wrong=[3, 5], unit="turns")
    assert titles(drawn) == [
        "0 to under 1 turns: 0 right, 0 wrong",
        "1 to under 2 turns: 0 right, 0 wrong",
        "2 to under 3 turns: 2 right, 0 wrong",
        "3 to under 4 turns: 1 right, 1 wrong",
        "4 to under 5 turns: 0 right, 0 wrong",
        "5 to under 6 turns: 0 right, 1 wrong",
    ]


@pytest.mark.parametrize("values", [[], [0.0], [0.001, 0.004], [1e9, 3.0], [4000.0, 4000.0]])
def test_a_histogram_holds_whatever_there_is(values: list[float]) -> None:
    counted = [int(title.split(": ")[1].split(" ")[0]) for title in titles(plots.histogram(values, [], "tokens"))]
    assert sum(counted) == len(values)


def test_calibration_is_drawn_where_answers_are() -> None:
    dots = Seen(plots.calibration(reliability([(0.95, True), (0.25, False), (0.25, True)]))).all("circle")
    middle, top = 64 + 0.25 * 340, 12
    assert (float(str(dots[0]["cx"])), float(str(dots[1]["cy"]))) == (middle, top)
    assert float(str(dots[0]["r"])) > float(str(dots[1]["r"]))


def test_the_costs_show_where_the_index_begins_to_pay() -> None:
    pays, never = (Seen(plots.amortized(Costs(1000, 100, film), asked=20)) for film in (350, 90))
    assert "pays from question 5 on" in pays.text
    assert "pays from" not in never.text
    assert len(never.all("circle")) == 0


@pytest.mark.parametrize(
    ("high", "expected"),
    [(10, [0, 2, 4, 6, 8, 10]), (0.3, [0, 0.1, 0.2, 0.3]), (7, [0, 2, 4, 6, 8]), (0, [0, 1]), (23_000, None)],
)
def test_ticks_are_round_and_reach_the_end(high: float, expected: list[float] | None) -> None:
    assert ticks(high) == (expected or [0, 5000, 10_000, 15_000, 20_000, 25_000])


# --- markup


def test_text_is_escaped_where_it_is_put_and_markup_is_not() -> None:
    made = tag("p", "a < b & ", tag("b", '"c"'), None, ["d", 1], class_='x"y', hidden=True, title=None, data_value=0)
    assert made == '<p class="x&quot;y" hidden data-value="0">a &lt; b &amp; <b>"c"</b>d1</p>'
    assert tag("input", type="search") == '<input type="search">'
    assert join(["<", Html("<br>")]) == "&lt;<br>"


def test_a_script_that_would_end_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="end itself"):
        own("script", "'</SCRIPT>'")


# --- in a browser

BROWSER = installed()
PICTURES = """
Array.from(document.querySelectorAll("svg")).map((svg) => {
  const frame = svg.getBoundingClientRect();
  const boxes = (names) => Array.from(svg.querySelectorAll(names)).map((each) => each.getBoundingClientRect());
  return {
    told: svg.getAttribute("aria-label"),
    shapes: boxes("circle, rect, polyline, line").filter((box) => box.width + box.height > 0).length,
    cut: boxes("text").filter((box) => box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1).length,
    letters: Math.min(...Array.from(svg.querySelectorAll("text")).map((text) =>
      parseFloat(getComputedStyle(text).fontSize) * svg.getScreenCTM().a)),
  };
})
"""
"""Of every plot of a page: how many shapes are painted, texts that stick out, and how high the smallest letters are."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Tab]:
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    with tab(BROWSER) as opened:
        yield opened


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_draws_every_plot_and_complains_of_nothing(chromium: Tab, tmp_path: Path, width: int) -> None:
    (tmp_path / "report.html").write_text(whole())
    chromium.open(tmp_path / "report.html", width)
    chromium.evaluate("document.querySelectorAll('.opener').forEach((opener) => opener.click())")
    pictures = chromium.evaluate(PICTURES)
    assert len(pictures) == 8  # two of accuracy, calibration, costs, two of effort, two questions' strips
    for picture in pictures:
        assert picture["shapes"] > 1, picture
        assert picture["cut"] == 0, picture
        assert picture["letters"] >= 8, picture
    assert chromium.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert chromium.complaints == []


@pytest.mark.browser
def test_questions_are_filtered_sorted_and_opened(chromium: Tab, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(whole())
    chromium.open(tmp_path / "report.html", 1280)
    rows = "Array.from(document.querySelectorAll('tbody[data-outcome]')).filter((each) => !each.hidden)"
    chromium.evaluate(f"{rows}[0].querySelector('.opener').click()")
    assert chromium.evaluate(f"{rows}[0].rows[1].getBoundingClientRect().height > 100")
    assert chromium.evaluate(f"{rows}[1].rows[1].getBoundingClientRect().height") == 0
    chromium.evaluate("const words = document.getElementById('find'); words.value = 'in t?'")
    chromium.evaluate("words.dispatchEvent(new Event('input', {bubbles: true}))")
    assert chromium.evaluate(f"{rows}.map((each) => each.rows[0].cells[1].dataset.value)") == ["t"]
    assert chromium.evaluate("document.getElementById('shown').value") == "1 of 2 questions"
    chromium.evaluate("words.value = ''; words.dispatchEvent(new Event('input', {bubbles: true}))")
    chromium.evaluate("Array.from(document.querySelectorAll('#questions thead button'))[1].click()")
    assert chromium.evaluate(f"{rows}.map((each) => each.rows[0].cells[1].dataset.value)") == ["1", "t"]
    assert chromium.complaints == []


@pytest.mark.browser
def test_a_dark_scheme_is_light_on_dark(chromium: Tab, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(whole())
    light = "(colour) => Math.max(...colour.match(/\\d+/g).slice(0, 3).map(Number))"
    ink = f"({light})(getComputedStyle(document.querySelector('svg .value')).fill)"
    paper = f"({light})(getComputedStyle(document.querySelector('.card')).backgroundColor)"
    chromium.open(tmp_path / "report.html", 1280, scheme="dark")
    assert chromium.evaluate(paper) < 80 < 200 < chromium.evaluate(ink)
    chromium.open(tmp_path / "report.html", 1280)
    assert chromium.evaluate(ink) < 80 < 200 < chromium.evaluate(paper)
