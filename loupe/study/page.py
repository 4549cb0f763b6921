"""The study as one page: nothing is fetched, and nothing runs."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from loupe.reporting import page as reporting
from loupe.reporting.html import Html, own, tag
from loupe.reporting.tables import count, percent
from loupe.scoring.statistics import LEVEL, RESAMPLES, SEED
from loupe.study.measures import ABOVE_MEAN, BREAK_EVEN, INDEXED, PIVOTAL, Measured, at_length
from loupe.study.plan import Curve
from loupe.study.sections import Section, Story, sections_of

HERE = Path(__file__).parent
MARKS = {True: "good", False: "bad", None: ""}


def page(story: Story) -> str:
    """The whole document."""
    sheets = (Path(reporting.__file__).parent / "report.css", HERE / "study.css")
    style, source = own("style", "".join(sheet.read_text() for sheet in sheets))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=f"default-src 'none'; style-src {source}"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "Loupe: does the cost follow the question?"),
        style,
    )
    sections = [_section(story, section) for section in sections_of(story)]
    body = tag("body", tag("main", _header(story), sections, _rules(story)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(story: Story) -> Html:
    size = story.size
    lengths = ", ".join(f"{minutes:g}" for minutes in size.lengths)
    asked = f"up to {size.questions} of the same kinds for each length, {size.times} for times"
    facts = {
        "films": f"toytown, held out, {size.films} each of {lengths} minutes",
        "questions": asked,
        "models": ", ".join(story.models),
    }
    told = [tag("div", tag("dt", name), tag("dd", each)) for name, each in facts.items()]
    tiles = [tag("div", tag("b", value), tag("span", name), class_="tile") for value, name in _headlines(story)]
    lead = (
        "An agent that chooses where to look should pay for the question and not for the footage. These are the curves "
        "that its source paper draws, with the models of this run, on films whose truth is known."
    )
    return tag(
        "header",
        tag("h1", "Does the cost follow the question?"),
        tag("p", lead, class_="lead"),
        tag("dl", told, class_="facts"),
        tag("div", tiles, class_="tiles"),
    )


def _headlines(story: Story) -> Iterator[tuple[str, str]]:
    """What one wants to know first: a number, and of what it is."""
    points = story.points
    right = points.line("length", "active_perception", "accuracy")
    turns = points.line("length", "active_perception", "turns")
    if len(right) > 1:
        first, last = right[0], right[-1]
        yield (
            f"{100 * first[1].mean:.0f} → {100 * last[1].mean:.0f} %",
            f"right by active perception, films of {first[0]:g} → {last[0]:g} minutes",
        )
        yield f"{turns[0][1].mean:.1f} → {turns[-1][1].mean:.1f}", "turns a question, the same films"
    if overlap := points.one("grounding", "active_perception", "mean IoU"):
        yield f"{overlap.mean:.2f}", f"mean IoU of times, {overlap.count} questions"
    if pivotal := points.one("entropy", PIVOTAL, ABOVE_MEAN):
        yield percent(pivotal.mean), f"of {pivotal.count} pivotal turns are above their rollout's mean entropy"
    longest = story.size.lengths[-1]
    for row in points.rows_of("amortization", at_length(INDEXED, longest), BREAK_EVEN):
        pays = "never" if row.mean is None else f"question {row.mean:g}"
        yield pays, f"is where the index of a film of {longest:g} minutes begins to pay"


def _section(story: Story, section: Section) -> Html:
    missing = [f"{name}: {why}" for name, why in story.points.missing(section.curve).items()]
    said = [tag("p", each, class_="missing") for each in (*section.said, *missing)]
    figures = tag("figure", section.figures, class_=section.style) if section.figures else None
    return tag(
        "section",
        tag("h2", section.title),
        tag("p", section.lead, class_="lead"),
        figures or tag("p", "No point of this curve could be measured.", class_="missing"),
        said,
        _findings(story, section.curve),
        _numbers([row for row in story.rows if row.curve == section.curve]),
        class_="card",
        id=section.curve,
    )


def _findings(story: Story, curve: Curve) -> Html:
    found = [one for one in story.findings if one.curve == curve]
    items = [
        tag(
            "li",
            tag("b", one.verdict, class_=f"verdict {MARKS[one.holds]}".strip()),
            tag("div", one.claim, " ", tag("span", one.told)),
        )
        for one in found
    ]
    reason = None
    if curve in story.reasons or any(one.holds is False for one in found):
        told = story.reasons.get(curve, "it has not been found yet.")
        reason = tag("p", tag("b", "The reason: "), told, class_="reason")
    return tag("div", tag("ul", items, class_="findings") if items else None, reason)


def _numbers(rows: Sequence[Measured]) -> Html:
    """Every point with its interval and its count, folded away."""
    heads = [
        tag("th", name, scope="col", class_="number" if index > 1 else None)
        for index, name in enumerate(("", "measure", "at", "mean", f"{LEVEL:.0%} interval", "count"))
    ]
    body = [
        tag("tr", tag("th", cells[0], scope="row"), tag("td", cells[1]), _cells(cells[2:]))
        for cells in map(_told, rows)
    ]
    table = tag("table", tag("thead", tag("tr", heads)), tag("tbody", body))
    return tag("details", tag("summary", f"All {len(rows)} numbers"), tag("div", table, class_="scroll"))


def _cells(cells: Iterable[str]) -> list[Html]:
    return [tag("td", cell, class_="number") for cell in cells]


def _told(row: Measured) -> tuple[str, ...]:
    at = "" if row.x is None else f"{row.x:g}"
    if row.mean is None:
        return row.series, row.measure, at, "–", "", str(row.count)
    low, high = ("never" if end is None else count(end) for end in (row.low, row.high))  # where an index never pays
    return row.series, row.measure, at, count(row.mean), f"[{low}, {high}]", str(row.count)


def _rules(story: Story) -> Html:
    """How the numbers are made."""
    rules = [
        "Every question counts: what is missing, failed, did not parse or ran out of turns is wrong. Spans are right "
        "from an IoU of 0.5 on.",
        f"Intervals are percentile bootstrap over questions, {RESAMPLES:,} times, seed {SEED}, the middle {LEVEL:.0%}; "
        "those of entropy by turn are over turns, those of ablations over pairs of the same question, with the p of "
        "McNemar's exact test. The two ends of a curve are told apart by the interval of their difference, from those "
        "of both (Zou and Donner 2008). All are for questions about these films; other films would differ more.",
        "The kind of a question is its template. Every length is asked as many of each, from all its films in turn.",
        f"Policies that look for themselves have {story.size.turns} turns whatever the length, but on the curve over "
        "budgets; retrieval_critic has the actions of the config. What the critic sends back opens a new round.",
        "Frames are pictures that were sent to a model, again with every request that shows them, the critic's among "
        "them. Tokens are those of all prompts and replies, the critic's among them; a transcriber counts none.",
        "Seconds are from a question's first turn to its end, with other questions and other settings at work on the "
        "same machine: roughly who is slower, and no more.",
        "Entropy is over the whole vocabulary where the model runs in the job (engine local), and over the likeliest "
        "tokens alone where a server tells no others.",
        "Tokens of a full pass are those of the film's frames at 1 fps alone. Tokens of an index are those of its "
        "chunks' captions and summaries.",
        *story.notes,
    ]
    return tag("section", tag("h2", "How these numbers are made"), tag("ul", [tag("li", rule) for rule in rules]))
