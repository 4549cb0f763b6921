"""The report as one page: nothing is fetched, and nothing runs but the script of this package."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loupe.reporting import plots, tables
from loupe.reporting.html import Html, own, tag
from loupe.reporting.question_table import question_table
from loupe.reporting.report import Report
from loupe.reporting.tables import Table, count, percent, points
from loupe.scoring.answers import GOOD_IOU
from loupe.scoring.scored import MISSING, Scored
from loupe.scoring.statistics import LEVEL
from loupe.scoring.summary import EFFORTS

Row = Mapping[str, Any]
HERE = Path(__file__).parent


def page(report: Report, traces: Mapping[str, Row]) -> str:
    """The whole document. `traces` are rows of `TRACES`, by question_id, of the questions that can be opened."""
    style, style_source = own("style", (HERE / "report.css").read_text())
    script, script_source = own("script", (HERE / "report.js").read_text())
    policy = f"default-src 'none'; style-src {style_source}; script-src {script_source}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{report.about.name}: {percent(report.summary.accuracy.mean)} right"),
        style,
    )
    body = tag(
        "body", tag("main", _header(report), _sections(report), _questions(report, traces), _rules(report)), script
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(report: Report) -> Html:
    about = report.about
    facts = {"models": about.models, "config": about.configs, "date": (about.date,) if about.date else ()}
    told = [tag("div", tag("dt", name), tag("dd", ", ".join(each))) for name, each in facts.items() if each]
    tiles = [
        tag("div", tag("b", value), tag("span", name), class_="tile") for name, value in _headlines(report).items()
    ]
    return tag("header", tag("h1", about.name), tag("dl", told, class_="facts"), tag("div", tiles, class_="tiles"))


def _headlines(report: Report) -> dict[str, str]:
    """What one wants to know first."""
    summary = report.summary
    right = f"right, of {summary.accuracy.count} questions; {LEVEL:.0%} interval {tables.interval(summary.accuracy)}"
    told = {right: percent(summary.accuracy.mean)}
    for name, other in report.others:
        told[f"points against {name}"] = points(other.paired.difference.mean)
    if summary.critic:
        told["points by the critic"] = points(summary.critic.gain.difference.mean)
    if summary.effort:
        told["tokens a question"] = count(summary.effort["tokens"].mean)
        told["frames a question"] = count(summary.effort["frames"].mean)
    if summary.calibration.error is not None:
        told["calibration error (ECE)"] = f"{summary.calibration.error:.2f}"
    return told


def _sections(report: Report) -> Iterator[Html]:
    """The numbers, each with its picture where one helps."""
    summary, asked = report.summary, [one for one in report.scores if one.status != MISSING]
    groups = [("all", summary.accuracy), *summary.by_capability.items()]
    yield _section(tables.accuracy(summary, report.sampling), plots.intervals(groups, summary.accuracy.mean))
    if report.against:
        yield from _comparisons(report)
    yield tag("div", _cards(report), class_="cards")
    if report.costs:
        asked_for = len(report.questions)
        yield _section(tables.amortized(report.costs, asked_for), plots.amortized(report.costs, asked_for))
    if asked:
        pictures = [_histogram(asked, unit) for unit in ("turns", "tokens")]
        yield _section(tables.effort(summary.effort), *pictures, LEGEND)


def _comparisons(report: Report) -> Iterator[Html]:
    """The run beside others; the first table with a picture of all."""
    side_by_side, *others = tables.comparisons(report)
    groups = [(name, summary.accuracy) for name, summary in report.runs]
    yield _section(side_by_side, plots.intervals(groups, report.summary.accuracy.mean))
    yield from map(_section, others)


def _cards(report: Report) -> Iterator[Html]:
    """The smaller ones, which stand in columns."""
    summary = report.summary
    if summary.critic:
        yield _section(tables.critic(summary.critic, summary.accuracy))
    yield _section(tables.statuses(summary.statuses))
    if summary.calibration.error is not None:
        yield _section(tables.calibration(summary.calibration), plots.calibration(summary.calibration.bins))
    if summary.relevance.evidence or summary.relevance.looked:
        yield _section(tables.relevance(summary.relevance))
    if summary.overlap and not report.against:
        yield _section(tables.overlap(summary.overlap))


def _histogram(asked: Sequence[Scored], unit: str) -> Html:
    right, wrong = ([EFFORTS[unit](one) for one in asked if one.right is mark] for mark in (True, False))
    return plots.histogram(right, wrong, unit)


LEGEND = tag("figcaption", tag("i", class_="key first"), "right ", tag("i", class_="key second"), "wrong")


def _section(table: Table, *pictures: Html) -> Html:
    """A heading, pictures, and the numbers."""
    figure = tag("figure", pictures) if pictures else None
    return tag("section", tag("h2", table.title), tag("div", figure, _table(table), class_="told"), class_="card")


def _table(table: Table) -> Html:
    heads = [
        tag("th", name, scope="col", class_="number" if index else None) for index, name in enumerate(table.header)
    ]
    rows = [
        tag("tr", tag("th", cells[0], scope="row"), [tag("td", cell, class_="number") for cell in cells[1:]])
        for cells in table.rows
    ]
    note = tag("p", table.note.strip(), class_="note") if table.note else None
    return tag("div", tag("table", tag("thead", tag("tr", heads)), tag("tbody", rows)), note, class_="scroll")


def _questions(report: Report, traces: Mapping[str, Row]) -> Html:
    left = sum(one.status != MISSING for one in report.scores) - len(traces)
    note = f"The turns of {left} more questions stand in traces/; --details takes more of them in." if left else None
    asked = "Wrong answers first, the surest on top. Open one to see its turns."
    return tag("section", tag("h2", "Questions"), tag("p", asked, " ", note), question_table(report, traces))


def _rules(report: Report) -> Html:
    """How the numbers are made."""
    drawn = report.sampling
    rules = [
        "Every question counts: what is missing, failed, did not parse or ran out of turns is wrong. A question that "
        "the film does not answer is right only if the answer says so.",
        "Choices and numbers are exact; text is right if it is the same words but for case, punctuation and articles; "
        f"spans from an IoU of {GOOD_IOU:g} on, of the two unions of spans.",
        f"Intervals are percentile bootstrap: questions are drawn with replacement {drawn.resamples:,} times, seed "
        f"{drawn.seed}; the middle {LEVEL:.0%} of the means. Runs are compared question by question: pairs are drawn "
        "together, and McNemar's exact test counts where they differ.",
        "Frame relevance is a mean over questions about one film whose true times are known; the critic's own frames "
        "are left out. Effort is over the questions that were asked.",
        "With the index, n questions cost its tokens once and n times the mean tokens of this run. Passing the whole "
        "film, they cost n times the tokens of its frames; the question's text and the answer are not counted there.",
        *report.notes,
    ]
    return tag("section", tag("h2", "How these numbers are made"), tag("ul", [tag("li", rule) for rule in rules]))
