"""Questions as a table: some of them for the terminal; for the page all, wrong ones first, each with its turns."""

from collections.abc import Mapping, Sequence
from typing import Any

from loupe.reporting.html import Html, tag
from loupe.reporting.report import Report
from loupe.reporting.tables import NOT_KNOWN, Table, count, on_a_line, percent
from loupe.reporting.turns import details, told
from loupe.scoring.scored import MISSING, Scored
from loupe.timeline import clock
from schemas.questions import Question

Row = Mapping[str, Any]

MARKS = {True: ("right", "✓"), False: ("wrong", "✗"), None: ("unknown", "?")}
COLUMNS = ("outcome", "question", "answer", "sure", "turns", "tokens", "frames", "inside", "seconds", "status")
TEXTS = ((24, 0.44), (10, 0.19), (11, 0.19), (11, 0.18))
"""Of a line in the terminal, for question, answer, true answer and evidence: the fewest letters, and the share."""
NUMBERS_WIDTH = 40
"""The rest of that line: numbers, outcome, and what stands between columns."""
NUMBERS = ("sure", "turns", "tokens", "frames", "inside", "seconds")


def asked(report: Report, shown: int, width: int) -> Table:
    """The first questions, in their order, for a terminal of so many columns."""
    header = ("question", "answer", "true answer", "sure", "evidence at", "turns", "tokens", "outcome")
    longest = [max(least, round(share * (width - NUMBERS_WIDTH))) for least, share in TEXTS]
    pairs = list(zip(report.questions, report.scores, strict=True))[:shown]
    rows = [
        (
            _short(question.question, longest[0]),
            _short(told(question, scored.answer), longest[1]),
            NOT_KNOWN if scored.true_answer is None else _short(told(question, scored.true_answer), longest[2]),
            NOT_KNOWN if scored.confidence is None else f"{scored.confidence:.2f}",
            _short(", ".join(_evidence(report.answers.get(question.question_id))), longest[3]),
            str(scored.turns),
            count(scored.tokens),
            MARKS[scored.right][0],
        )
        for question, scored in pairs
    ]
    left = len(report.questions) - len(rows)
    return Table("Questions", header, tuple(rows), f"  … and {left} more in report.html" if left else "")


def _evidence(answer: Row | None) -> list[str]:
    return [clock(each["start_ms"]) for each in answer["evidence"]] if answer else []


def _short(text: str, letters: int) -> str:
    """One line of at most so many letters."""
    line = on_a_line(text)
    return line if len(line) <= letters else line[: letters - 1] + "…"


def in_order(report: Report) -> list[tuple[Question, Scored]]:
    """Wrong ones first, the surest of them at the top; then those without a known answer, then the right ones."""
    rank = {False: 0, None: 1, True: 2}
    pairs = zip(report.questions, report.scores, strict=True)
    return sorted(pairs, key=lambda pair: (rank[pair[1].right], -(pair[1].confidence or 0)))


def question_table(report: Report, traces: Mapping[str, Row]) -> Html:
    """The filters and the table. Questions without a trace here cannot be opened."""
    others = [{each.question_id: each for each in other.scores} for other in report.against]
    bodies = [
        _body(
            question,
            scored,
            [other[question.question_id] for other in others],
            report.answers.get(question.question_id, {}),
            traces.get(question.question_id),
        )
        for question, scored in in_order(report)
    ]
    heads = [
        tag("th", tag("button", name, type="button"), scope="col", class_="number" if name in NUMBERS else None)
        for name in COLUMNS
    ]
    table = tag("table", tag("thead", tag("tr", heads)), bodies, id="questions")
    return tag("div", _filters(report), tag("div", table, class_="scroll"))


def _filters(report: Report) -> Html:
    """Fields that the script reads; without it they are hidden."""
    choices = {
        "outcome": sorted({MARKS[scored.right][0] for scored in report.scores}, reverse=True),
        "capability": sorted({scored.capability for scored in report.scores if scored.capability}),
        "status": sorted({scored.status for scored in report.scores}),
    }
    selects = [_select(name, name, values) for name, values in choices.items() if len(values) > 1]
    selects += [
        _select(f"against {name}", f"against{number}", ("better", "worse", "same"))
        for number, (name, _) in enumerate(report.others)
    ]
    search = tag("label", "find", tag("input", type="search", id="find", placeholder="words of a question"))
    shown = tag("output", f"{len(report.scores)} questions", id="shown")
    return tag("form", search, selects, shown, tag("button", "open all", type="button", id="open"), class_="filters")


def _select(name: str, key: str, values: Sequence[str]) -> Html:
    """A choice of what the rows have as `data-key`."""
    options = [tag("option", value, value=value) for value in values]
    return tag("label", name, tag("select", tag("option", "all", value=""), options, data_filter=key))


def _body(question: Question, scored: Scored, others: Sequence[Scored], answer: Row, trace: Row | None) -> Html:
    """One question: its row, and the row of its turns, closed."""
    inside = (
        tag("tr", tag("td", details(question, answer, trace), colspan=len(COLUMNS)), hidden=True) if trace else None
    )
    return tag(
        "tbody",
        tag("tr", _cells(question, scored, can_open=trace is not None)),
        inside,
        data_outcome=MARKS[scored.right][0],
        data_capability=scored.capability,
        data_status=scored.status,
        **{f"data_against{number}": _against(scored, other) for number, other in enumerate(others)},
    )


def _against(scored: Scored, other: Scored) -> str:
    return "same" if scored.right == other.right else "better" if scored.right else "worse"


def _cells(question: Question, scored: Scored, *, can_open: bool) -> list[Html]:
    name, mark = MARKS[scored.right]
    badge = tag("span", f"{mark} {name}", class_=f"mark {name}")
    opener = tag("button", badge, type="button", class_="opener", aria_expanded="false") if can_open else badge
    chip = tag("span", tag("bdi", scored.capability), class_="chip") if scored.capability else None
    true = None if scored.right else tag("div", "true: ", tag("bdi", told(question, scored.true_answer)), class_="true")
    wording = [tag("small", question.question_id, class_="id"), chip, tag("div", tag("bdi", question.question))]
    given = [tag("bdi", told(question, scored.answer)), true if scored.true_answer is not None else None]
    was_asked = scored.status != MISSING
    return [
        tag("td", opener, data_value=name),
        tag("th", wording, scope="row", data_value=question.question_id),
        tag("td", given, data_value=scored.answer or ""),
        _number(scored.confidence, NOT_KNOWN if scored.confidence is None else f"{scored.confidence:.2f}"),
        _number(scored.turns if was_asked else None, str(scored.turns)),
        _number(scored.tokens if was_asked else None, count(scored.tokens)),
        _number(scored.frames if was_asked else None, count(scored.frames)),
        _number(scored.looked_inside, percent(scored.looked_inside or 0)),
        _number(scored.seconds if was_asked else None, f"{scored.seconds:.1f}"),
        tag("td", scored.status, data_value=scored.status),
    ]


def _number(value: float | None, text: str) -> Html:
    return tag("td", NOT_KNOWN if value is None else text, class_="number", data_value=-1 if value is None else value)
