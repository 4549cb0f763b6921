"""The curves of a study's page: what each is of, its figures, and what is left out of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loupe.reporting import plots as report_plots
from loupe.reporting.html import Html, tag
from loupe.reporting.tables import percent
from loupe.scoring.statistics import Estimate
from loupe.study import plots
from loupe.study.findings import PAPERS_SHARE, Finding, Points, in_points
from loupe.study.measures import (
    ABOVE_MEAN,
    ANY_TURN,
    BREAK_EVEN,
    INDEXED,
    LEAST_TURNS,
    PIVOTAL,
    QUESTIONS,
    WHOLE_FILM,
    Measured,
    at_length,
)
from loupe.study.plan import WHOLE, Curve, Size
from loupe.study.plots import Axis, Line

STYLES = {"active_perception": "s1", "retrieval_critic": "s2", "investigator": "s3"}
"""Colours of the agents; baselines are grey."""
BASELINES = ("s4", "s5")
FEW = 4
"""Rollouts, without which a turn's entropy is not drawn."""


@dataclass(frozen=True)
class Story:
    """All that the page tells."""

    rows: Sequence[Measured]
    findings: Sequence[Finding]
    size: Size
    models: Sequence[str]
    """role: model"""
    reasons: Mapping[str, str]
    """By curve: why it did not come out as the paper's, in the words of whoever found out."""
    notes: Sequence[str]
    """What a reader should know of how this run was made."""

    @property
    def points(self) -> Points:
        """The rows, to be looked up."""
        return Points(self.rows)


@dataclass(frozen=True)
class Section:
    """A curve on the page."""

    curve: Curve
    title: str
    lead: str
    figures: tuple[Html, ...]
    style: str = "many"
    said: tuple[str, ...] = ()
    """What is left out, and why."""


def sections_of(story: Story) -> Iterator[Section]:
    """In the order in which they are read."""
    yield _length(story)
    yield _budget(story)
    yield _grounding(story)
    yield _ablation(story)
    yield _entropy(story)
    yield _amortization(story)


def _lines(story: Story, curve: Curve, measure: str) -> list[Line]:
    """Every line of a curve that has points."""
    grey = iter(BASELINES)
    styles = {name: STYLES.get(name) or next(grey, BASELINES[-1]) for name in story.points.series(curve)}
    lines = [Line(name, style, story.points.line(curve, name, measure)) for name, style in styles.items()]
    return [line for line in lines if line.dots]


def _length(story: Story) -> Section:
    across = Axis("minutes of film", _at_least_two(story.size.lengths), lambda minutes: f"{minutes:g}", log=True)
    figures = [_figure(story, "length", name, across) for name in ("accuracy", *LENGTH_MEASURES)]
    return Section(
        "length",
        "Length of the film",
        "The same kinds of question about longer and longer films; who looks for itself has the same turns whatever "
        "the length. The paper's agent takes 8.5 turns at 30 minutes and 12.5 at 130, and stays near 50 % right.",
        tuple(figure for figure in figures if figure),
    )


LENGTH_MEASURES = ("turns", "turns an hour of film", "frames", "tokens", "seconds")


def _budget(story: Story) -> Section:
    across = Axis("turns allowed", _at_least_two(story.size.budgets), lambda turns: f"{turns:g}", log=True)
    figures = [_figure(story, "budget", name, across) for name in ("accuracy", "turns")]
    return Section(
        "budget",
        "Turn budget",
        f"Active perception on films of {story.size.at:g} minutes. The paper goes from 53.4 to 59.6 % right between 6 "
        "and 52 turns, and uses 11.7 on average.",
        tuple(figure for figure in figures if figure),
    )


def _figure(story: Story, curve: Curve, measure: str, across: Axis) -> Html | None:
    """A measure over an axis; None where no point has it."""
    lines = _lines(story, curve, measure)
    if not lines:
        return None
    up = plots.shares("right") if measure == "accuracy" else plots.amounts(_named(measure), lines)
    told = f"{measure} by {across.name}: " + "; ".join(f"{line.name} {_ends(line)}" for line in lines)
    return tag("div", tag("h3", TITLES[measure]), plots.curves(lines, across, up, told))


def _named(measure: str) -> str:
    return measure if measure == "turns an hour of film" else f"{measure} a question"


TITLES = {
    "accuracy": "Right answers",
    "turns": "Turns a question",
    "turns an hour of film": "Turns an hour of film",
    "frames": "Frames a question",
    "tokens": "Tokens a question",
    "seconds": "Seconds a question",
}


def _ends(line: Line) -> str:
    return f"{line.dots[0][1].mean:.3g} to {line.dots[-1][1].mean:.3g}"


def _at_least_two(values: Sequence[float]) -> tuple[float, ...]:
    """Marks of an axis: one alone stands in the middle."""
    return tuple(values) if len(values) > 1 else (values[0] / 2, values[0], values[0] * 2)


def _grounding(story: Story) -> Section:
    groups = [(name, _lines(story, "grounding", name)) for name in ("mean IoU", "R1@0.3", "R1@0.5", "R1@0.7")]
    groups = [(name, lines) for name, lines in groups if lines]
    told = "; ".join(
        f"{name}: " + ", ".join(f"{line.name} {line.dots[0][1].mean:.2f}" for line in lines) for name, lines in groups
    )
    figures: tuple[Html, ...] = ()
    if groups:
        keys = plots.legend([(line.name, line.style) for line in groups[0][1]])
        figures = (tag("div", plots.bars(groups, Axis("", (0, 0.2, 0.4, 0.6, 0.8, 1.0), "{:.1f}".format), told), keys),)
    return Section(
        "grounding",
        "Temporal grounding",
        f"Questions for times, films of {story.size.at:g} minutes: overlap with the true times, and the share of "
        "questions that overlap by 0.3, 0.5 and 0.7. On LongVALE the paper's agent goes from an IoU of 5.7 to 39.1.",
        figures,
        "one",
    )


def _ablation(story: Story) -> Section:
    rows: list[tuple[str, str, Estimate]] = []
    for series in story.points.series("ablation"):
        lost = story.points.one("ablation", series, "difference")
        if lost:
            rows.append((series.replace(", ", ": "), STYLES[series.partition(", ")[0]], lost))
    told = "; ".join(f"{name} {in_points(each)} points" for name, _, each in rows)
    whole = [
        f"{policy} as it is: {percent(right.mean)} right, {right.count} questions."
        for policy in STYLES
        if (right := story.points.one("ablation", f"{policy}, {WHOLE}", "accuracy"))
    ]
    return Section(
        "ablation",
        "Ablation",
        f"Something is taken away, and the same questions are asked again, about films of {story.size.at:g} minutes.",
        (plots.differences(rows, told),) if rows else (),
        "one",
        (" ".join(whole),),
    )


def _entropy(story: Story) -> Section:
    points = story.points
    lines = [
        Line(f"{name} answers", style, [dot for dot in points.line("entropy", name, "entropy") if dot[1].count >= FEW])
        for name, style in (("right", "s1"), ("wrong", "s6"))
    ]
    lines = [line for line in lines if line.dots]
    figures = []
    if lines:
        last = int(max(line.dots[-1][0] for line in lines))
        across = Axis("turn", _every(last), lambda turn: f"{turn:g}")
        told = "Mean entropy by turn: " + "; ".join(f"{line.name} {_ends(line)}" for line in lines)
        drawn = plots.curves(lines, across, plots.amounts("nats a token", lines), told)
        figures.append(tag("div", tag("h3", "Mean entropy of what a turn writes"), drawn))
    shares = [(name, each) for name in (PIVOTAL, ANY_TURN) if (each := points.one("entropy", name, ABOVE_MEAN))]
    if shares:
        drawn = report_plots.intervals(shares, PAPERS_SHARE)
        title = f"Share above the mean of their rollout; the line is the paper's {100 * PAPERS_SHARE:.0f} %"
        figures.append(tag("div", tag("h3", title), drawn))
    return Section(
        "entropy",
        "Entropy, and the pivotal turn",
        "How unsure the model is of each token it writes, turn by turn. The pivotal turn is the one that asked for the "
        "first frame or sound inside the true times, in rollouts that ended right and have "
        f"{LEAST_TURNS} turns or more; the paper lets a large model name it. Turns that fewer than {FEW} rollouts "
        "reached are not drawn.",
        tuple(figures),
    )


def _every(last: int) -> tuple[float, ...]:
    """Turns from 1 to the last, some of them where they are many."""
    step, end = 1 + last // 12, max(last, 2)
    return (*(turn for turn in range(1, end, step) if end - turn >= step), float(end))


def _amortization(story: Story) -> Section:
    named = {INDEXED: "index, then search", "active_perception": "no index, look", WHOLE_FILM: "full passes, 1 fps"}
    styles = {INDEXED: "s2", "active_perception": "s1", WHOLE_FILM: "s6"}
    by_length = [
        (
            minutes,
            [
                Line(name, styles[series], dots)
                for series, name in named.items()
                if (dots := story.points.line("amortization", at_length(series, minutes), "tokens"))
            ],
        )
        for minutes in story.size.lengths
    ]
    everything = [line for _, lines in by_length for line in lines]
    across = Axis("questions about the film", QUESTIONS, lambda n: f"{n:g}", log=True)
    figures = [
        tag(
            "div",
            tag("h3", f"A film of {minutes:g} minutes", _pays(story, minutes)),
            plots.curves(
                lines, across, plots.powers("tokens", everything), f"Tokens of 1 to 64 questions, {minutes:g} minutes"
            ),
        )
        for minutes, lines in by_length
        if lines
    ]
    return Section(
        "amortization",
        "Amortization",
        "Tokens of n questions about one film: its index once and then searches; looking without any index; and the "
        "whole film passed to the model for every question.",
        tuple(figures),
    )


def _pays(story: Story, minutes: float) -> str:
    for row in story.points.rows_of("amortization", at_length(INDEXED, minutes), BREAK_EVEN):
        return ": the index never pays" if row.mean is None else f": the index pays from question {row.mean:g} on"
    return ""
