"""The numbers of a report as tables of text: the terminal prints them, the page sets them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loupe.reporting.report import Against, Report
from loupe.scoring.amortizing import Costs
from loupe.scoring.statistics import LEVEL, Estimate
from loupe.scoring.summary import (
    NEED_SOUND,
    RECALL_AT,
    Calibration,
    CriticEffect,
    Effort,
    Overlap,
    Relevance,
    Sampling,
    Summary,
)

QUESTIONS_SHOWN = (1, 10, 100, 1000)
NOT_KNOWN = "–"
SPENT = ("turns", "frames", "tokens", "seconds", "US dollars")
"""What stands side by side of what a question took."""


@dataclass(frozen=True)
class Table:
    """Cells of text; the first column names the rows."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __str__(self) -> str:
        """For the terminal: columns of one width, numbers to the right."""
        lines = [[on_a_line(cell) for cell in cells] for cells in (self.header, *self.rows)]
        widths = [max(len(cells[column]) for cells in lines) for column in range(len(self.header))]
        told = [
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            for cells in lines
        ]
        return "\n".join([self.title.upper(), *(f"  {line.rstrip()}" for line in told), *filter(None, [self.note])])


def on_a_line(text: str) -> str:
    """A text without what could steer a terminal: line ends and other letters that do not print."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def tables(report: Report) -> Iterator[Table]:
    """Every table, in the order in which they are read."""
    summary = report.summary
    yield accuracy(summary, report.sampling)
    if report.against:
        yield from comparisons(report)
    if summary.critic:
        yield critic(summary.critic, summary.accuracy)
    if summary.overlap and not report.against:
        yield overlap(summary.overlap)
    if summary.relevance.evidence or summary.relevance.looked:
        yield relevance(summary.relevance)
    if summary.calibration.error is not None:
        yield calibration(summary.calibration)
    yield effort(summary.effort)
    if report.costs:
        yield amortized(report.costs, len(report.questions))
    yield statuses(summary.statuses)


def accuracy(summary: Summary, sampling: Sampling) -> Table:
    """Accuracy of all, by capability and by type of answer."""
    types = [(f"answers: {name}", each) for name, each in summary.by_answer_type.items()]
    groups = [("all", summary.accuracy), *summary.by_capability.items(), *types]
    rows = tuple((name, percent(each.mean), interval(each), str(each.count)) for name, each in groups)
    note = f"  Percentile bootstrap, {sampling.resamples:,} resamples of questions, seed {sampling.seed}."
    if "text" in summary.by_answer_type:
        note += "\n  Text is right where the words are the same but for case, punctuation and articles."
    return Table("Accuracy", ("", "right", f"{LEVEL:.0%} interval", "questions"), rows, note)


def comparisons(report: Report) -> Iterator[Table]:
    """This run beside the others, and question by question against each."""
    yield side_by_side(report.runs)
    yield differences(report.runs[0][0], report.others)
    yield from perceived(report.runs)


def side_by_side(runs: Sequence[tuple[str, Summary]]) -> Table:
    """How good runs over the same questions are, and what a question took in each."""
    rows = tuple(
        (
            name,
            str(summary.accuracy.count),
            percent(summary.accuracy.mean),
            interval(summary.accuracy),
            *(count(summary.effort[unit].mean) if summary.effort else NOT_KNOWN for unit in SPENT),
        )
        for name, summary in runs
    )
    header = ("", "questions", "right", f"{LEVEL:.0%} interval", "turns", "frames", "tokens", "seconds", "dollars")
    note = "  Means a question that was asked; tokens of prompts and completions, the critic's too."
    return Table("Side by side", header, rows, note)


def differences(first: str, others: Sequence[tuple[str, Against]]) -> Table:
    """One run against each of the others, paired."""
    rows = tuple(
        (
            name,
            points(other.paired.difference.mean),
            interval(other.paired.difference, signed=True),
            str(other.paired.only_one),
            str(other.paired.only_other),
            f"{other.paired.p:.2g}",
        )
        for name, other in others
    )
    header = ("", "points", f"{LEVEL:.0%} interval", "only this right", "only that right", "McNemar's p")
    return Table(f"{first} against", header, rows, "  Points that it is ahead, over the same questions.")


def perceived(runs: Sequence[tuple[str, Summary]]) -> Iterator[Table]:
    """Temporal grounding and what needs sound, run by run; nothing where no question asks for either."""
    _, first = runs[0]
    asked = {"for times": first.overlap and first.overlap.iou, "that need sound": first.by_capability.get(NEED_SOUND)}
    counts = [f"{name}: {each.count}" for name, each in asked.items() if each]
    if not counts:
        return
    recalls = (f"R1@{bound:g}" for bound in RECALL_AT)
    header = ("", "mean IoU", f"{LEVEL:.0%} interval", *recalls, "sound right", f"{LEVEL:.0%} interval")
    rows = tuple((name, *_grounding(summary.overlap), *_heard(summary)) for name, summary in runs)
    yield Table("Times, and what needs sound", header, rows, f"  Questions {'; '.join(counts)}.")


def _grounding(found: Overlap | None) -> tuple[str, ...]:
    if found is None:
        return (NOT_KNOWN,) * (2 + len(RECALL_AT))
    iou = found.iou
    return f"{iou.mean:.2f}", f"[{iou.low:.2f}, {iou.high:.2f}]", *map(percent, found.recall.values())


def _heard(summary: Summary) -> tuple[str, str]:
    heard = summary.by_capability.get(NEED_SOUND)
    return (percent(heard.mean), interval(heard)) if heard else (NOT_KNOWN, NOT_KNOWN)


def critic(effect: CriticEffect, accuracy: Estimate) -> Table:
    """With and without the critic."""
    after = NOT_KNOWN if effect.review_tokens is None else count(effect.review_tokens)
    rows = (
        ("with the critic", percent(accuracy.mean), interval(accuracy)),
        ("without it", percent(effect.without.mean), interval(effect.without)),
        ("gain, in points", points(effect.gain.difference.mean), interval(effect.gain.difference, signed=True)),
        ("questions reviewed", str(effect.reviewed), ""),
        ("answers changed", str(effect.changed), ""),
        ("… for the better", str(effect.gain.only_one), ""),
        ("… for the worse", str(effect.gain.only_other), ""),
        ("McNemar's exact p", f"{effect.gain.p:.2g}", ""),
        ("tokens a question, its own", count(effect.critic_tokens), ""),
        ("… and of the turns it asked for", after, ""),
        ("share of all tokens", percent(effect.share), ""),
    )
    return Table("The critic", ("", "", f"{LEVEL:.0%} interval"), rows)


def overlap(found: Overlap) -> Table:
    """Questions for times."""
    rows = [("mean IoU", f"{found.iou.mean:.3f}", f"[{found.iou.low:.3f}, {found.iou.high:.3f}]")]
    rows += [(f"R1@{bound:g}", percent(share), "") for bound, share in found.recall.items()]
    return Table("Times", ("", f"of {found.iou.count}", f"{LEVEL:.0%} interval"), tuple(rows))


def relevance(found: Relevance) -> Table:
    """Where one looked, against the true times."""
    named = {
        "evidence inside the true times": found.evidence,
        "looked-at frames inside them": found.looked,
        "saw a frame inside at all": found.found,
    }
    rows = tuple((name, percent(each.mean), interval(each), str(each.count)) for name, each in named.items() if each)
    return Table("Frame relevance", ("", "mean share", f"{LEVEL:.0%} interval", "questions"), rows)


def calibration(found: Calibration) -> Table:
    """The reliability table: what was said with which confidence, and how much of it was right."""
    rows = tuple(
        (
            f"{each.low:.1f}-{each.high:.1f}",
            str(each.count),
            f"{each.confidence:.2f}",
            percent(each.accuracy),
        )
        for each in found.bins
        if each.confidence is not None and each.accuracy is not None
    )
    ece = NOT_KNOWN if found.error is None else f"{found.error:.3f}"
    note = f"  ECE {ece} over {len(found.bins)} bins of equal width; without a confidence: {found.without}"
    return Table("Calibration", ("confidence", "answers", "mean", "right"), rows, note)


def effort(found: Mapping[str, Effort]) -> Table:
    """What a question took."""
    rows = tuple(
        (name, *(count(value) for value in (each.mean, each.median, each.p95, each.total)))
        for name, each in found.items()
    )
    return Table("Effort a question", ("", "mean", "median", "95th percentile", "total"), rows)


def amortized(costs: Costs, asked: int) -> Table:
    """Tokens of n questions with the index and without; `asked` is one of the n."""
    numbers = sorted({*QUESTIONS_SHOWN, asked, *filter(None, [costs.break_even])})
    rows = tuple((f"{n:,}", count(costs.indexed(n)), count(costs.whole_film(n))) for n in numbers)
    return Table("Tokens of so many questions", ("questions", "index + questions", "whole film"), rows, verdict(costs))


def verdict(costs: Costs) -> str:
    """From when on the index pays, in words."""
    if costs.break_even is None:
        return "  The index never pays: a question costs more than its whole film would."
    return f"  The index pays from question {costs.break_even:,} on."


def statuses(found: Mapping[str, int]) -> Table:
    """How questions ended."""
    total = sum(found.values())
    rows = tuple((name, str(number), percent(number / total)) for name, number in found.items())
    return Table("How questions ended", ("status", "questions", "share"), rows)


def percent(share: float) -> str:
    """61.2 %"""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """+4.3"""
    return f"{100 * difference:+.1f}"


def interval(found: Estimate, *, signed: bool = False) -> str:
    """[56.6, 65.8], in hundredths."""
    sign = "+" if signed else ""
    return f"[{100 * found.low:{sign}.1f}, {100 * found.high:{sign}.1f}]"


def count(number: float) -> str:
    """A quantity with what of it matters: 12,345, 87.3, 0.041."""
    if number == 0:
        return "0"
    if abs(number) >= 1000 or (float(number).is_integer() and abs(number) >= 1):
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.3g}"
