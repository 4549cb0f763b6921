"""Questions about a film, drawn so that their wording gives nothing away.

Why it does not: films draw every name (colours, hats, things, words, places, numbers) at random, so that no name is
likelier to be right than another. Where options are such names, three others are drawn beside the right one, or four
are drawn regardless of the film and kept when exactly one of them is right. What people do is not alike in that way:
there, four answers that the film gives to the same wording with other names are drawn, then which of them is to be
right, and only then names that lead to it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

import numpy as np

from loupe.benchmarks.toytown.facts import Facts
from loupe.benchmarks.toytown.screenplay import Film
from loupe.benchmarks.toytown.template import Found, Names, Template
from loupe.benchmarks.toytown.templates_heard import TEMPLATES as HEARD
from loupe.benchmarks.toytown.templates_seen import ORDER, orders
from loupe.benchmarks.toytown.templates_seen import TEMPLATES as SEEN
from loupe.benchmarks.toytown.truth import Row, truth_of
from schemas.questions import LETTERS, UNANSWERABLE, Question, Span

TEMPLATES = (*SEEN, *HEARD)
OPTIONS = 4
TRIES = 120
"""How many choices of names are tried for one question."""
UNANSWERABLE_SHARE = 0.12
"""Of the questions that can be asked of something that the film lacks."""
COUNTS = ("1", "2", "3", "4")
TIMES_AT_MOST = 32
"""Relevant times of one question; the first ones are kept."""


def template_of(wording: str) -> tuple[Template, dict[str, str]]:
    """The kind of a question, and the names in its wording. Raises ValueError for one that is not of toytown."""
    for template in TEMPLATES:
        if match := template.pattern.fullmatch(wording):
            return template, match.groupdict()
    raise ValueError(f"not a question of toytown: {wording!r}")


def questions_about(film: Film, index: int, count: int) -> list[Question]:
    """Up to `count` questions about the film `index` of a set, whose library is the folder of its file."""
    return draw_questions(Facts(truth_of(film)), film.video_id, np.random.default_rng((film.seed, index)), count)


def draw_questions(facts: Facts, video: str, rng: np.random.Generator, count: int) -> list[Question]:
    """Up to `count` different questions, kinds in turn; fewer where a film has too little to ask for."""
    questions: dict[str, Question] = {}
    for _ in range(4):
        for index in rng.permutation(len(TEMPLATES)):
            question = _draw(facts, TEMPLATES[index], rng, f"{video}#{len(questions):03d}", video)
            if question and len(questions) < count:
                questions.setdefault(_key(question), question)
    return list(questions.values())


def _key(question: Question) -> str:
    """The same for questions that ask the same, whatever the order of their options."""
    return " ".join([question.question, *sorted(question.options)])


def _draw(facts: Facts, template: Template, rng: np.random.Generator, question_id: str, video: str) -> Question | None:
    """A question of a kind, if the film has one."""
    drawn: tuple[Names, Found, Sequence[str]] | None
    if template is ORDER:
        drawn = _order(facts, rng)
    elif template.pool:
        drawn = _of_pool(facts, template, rng, template.pool(facts))
    else:
        drawn = _of_answers(facts, template, rng)
    if drawn is None:
        return None
    names, found, options = drawn
    answer = LETTERS[options.index(found.value)] if options else found.value
    question = Question(
        question_id=question_id,
        video=video,
        question=template.wording.format(**names),
        capability=template.capability,
        answer_type=template.answer_type,
        options=tuple(options),
        answer=answer,
        relevant_times=_times(found.rows),
    )
    if template.absent and rng.random() < UNANSWERABLE_SHARE:
        return _without_answer(facts, template, rng, names, question)
    return question


def _of_answers(
    facts: Facts, template: Template, rng: np.random.Generator
) -> tuple[Names, Found, Sequence[str]] | None:
    """Options are other names of the kind, or answers to the same wording with other names."""
    values = {name: list(pool(facts)) for name, pool in template.names.items()}
    if not all(values.values()):
        return None
    if template.evenly:
        values[template.evenly] = [_pick(rng, values[template.evenly])]
    by_value: dict[str, list[tuple[Names, Found]]] = defaultdict(list)
    for tried in _choices(rng, values):
        if answer := template.solve(facts, tried, ()):
            by_value[answer.value].append((tried, answer))
    possible = sorted(by_value)
    if template.evenly:
        possible = [value for value in possible if value in COUNTS]
        if len(possible) < len(COUNTS):
            return None
    if not possible:
        return None
    options: list[str] = []
    if template.others:
        value = _pick(rng, possible)
        others = [name for name in template.others(facts) if name != value]
        if len(others) < OPTIONS - 1:
            return None
        options = _some(rng, [value, *_some(rng, others, OPTIONS - 1)], OPTIONS)
    elif template.answer_type == "choice":
        if len(possible) < OPTIONS:
            return None
        options = _some(rng, possible, OPTIONS)
        value = _pick(rng, options)
    else:
        value = _pick(rng, possible)
    names, found = _pick_pair(rng, by_value[value])
    return names, found, options


def _choices(rng: np.random.Generator, values: Mapping[str, Sequence[str]]) -> Iterator[Names]:
    """Every choice of names where there are few, and some of them where there are many."""
    if prod(len(choices) for choices in values.values()) <= TRIES:
        yield from (dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))
        return
    picked = {name: rng.integers(len(choices), size=TRIES).tolist() for name, choices in values.items()}
    yield from ({name: values[name][at[number]] for name, at in picked.items()} for number in range(TRIES))


def _of_pool(
    facts: Facts, template: Template, rng: np.random.Generator, pool: Sequence[str]
) -> tuple[Names, Found, Sequence[str]] | None:
    """Options are drawn from a pool, until exactly one of them is right."""
    values = {name: choices(facts) for name, choices in template.names.items()}
    if len(pool) < OPTIONS or not all(values.values()):
        return None
    for _ in range(TRIES):
        options = _some(rng, pool, OPTIONS)
        names = {name: _pick(rng, choices) for name, choices in values.items()}
        if set(names.values()) & set(options):
            continue
        if found := template.solve(facts, names, options):
            return names, found, options
    return None


def _order(facts: Facts, rng: np.random.Generator) -> tuple[Names, Found, Sequence[str]] | None:
    """Options are orders of the same four places; they are drawn until one of them is right."""
    places = orders(facts)
    if len(places) < OPTIONS:
        return None
    asked = _some(rng, places, OPTIONS)
    while True:
        options = [", ".join(_some(rng, asked, OPTIONS)) for _ in range(OPTIONS)]
        found = ORDER.solve(facts, {}, options)
        if found and len(set(options)) == OPTIONS:
            return {}, found, options


def _without_answer(
    facts: Facts, template: Template, rng: np.random.Generator, names: Names, question: Question
) -> Question | None:
    """The question, asked of something that the film does not have."""
    assert template.absent is not None
    name, pool = template.absent
    missing = pool(facts)
    if not missing:
        return question
    asked = {**names, name: _pick(rng, missing)}
    if template.solve(facts, asked, question.options):
        return None
    return question.model_copy(
        update={
            "question": template.wording.format(**asked),
            "answer": UNANSWERABLE,
            "relevant_times": (),
            "answerable": False,
        }
    )


def _times(rows: Sequence[Row]) -> tuple[Span, ...]:
    """The rows' times, in order, those that touch as one."""
    spans: list[Span] = []
    for row in sorted(rows, key=lambda row: row.start_ms):
        if spans and row.start_ms <= spans[-1].end_ms:
            spans[-1] = Span(start_ms=spans[-1].start_ms, end_ms=max(spans[-1].end_ms, row.end_ms))
        else:
            spans.append(Span(start_ms=row.start_ms, end_ms=row.end_ms))
    return tuple(spans[:TIMES_AT_MOST])


def _pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]


def _pick_pair(rng: np.random.Generator, pairs: Sequence[tuple[Names, Found]]) -> tuple[Names, Found]:
    return pairs[int(rng.integers(len(pairs)))]


def _some(rng: np.random.Generator, values: Sequence[str], count: int) -> list[str]:
    """That many different values, in a random order."""
    return [values[i] for i in rng.permutation(len(values))[:count]]
