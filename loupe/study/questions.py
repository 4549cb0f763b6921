"""Which questions a study asks: of every length the same kinds, and of each kind as many.

The kind of a toytown question is its template, found by its wording.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from loupe.benchmarks.toytown.questions import TEMPLATES, template_of
from schemas.questions import Question


@cache
def kind_of(wording: str) -> int:
    """The number of the template that a question is of. Raises ValueError for one that is not of toytown."""
    return TEMPLATES.index(template_of(wording)[0])


def same_kinds(by_length: Mapping[float, Sequence[Question]], count: int) -> dict[float, list[Question]]:
    """Of each length at most `count` questions, of the kinds that every length has, and of each kind as many."""
    pools = {minutes: _by_kind(questions) for minutes, questions in by_length.items()}
    kinds = sorted(set.intersection(*(set(pool) for pool in pools.values()))) if pools else []
    room = {kind: min(len(pool[kind]) for pool in pools.values()) for kind in kinds}
    deepest = max(room.values(), default=0)
    order = [(kind, place) for place in range(deepest) for kind in _spread(kinds) if place < room[kind]]
    return {minutes: [pool[kind][place] for kind, place in order[:count]] for minutes, pool in pools.items()}


def for_times(questions: Sequence[Question], count: int) -> list[Question]:
    """At most `count` questions for spans, of all films and kinds in turn."""
    pool = _by_kind([question for question in questions if question.answer_type == "spans"])
    deepest = max(map(len, pool.values()), default=0)
    return [pool[kind][place] for place in range(deepest) for kind in sorted(pool) if place < len(pool[kind])][:count]


def _by_kind(questions: Sequence[Question]) -> dict[int, list[Question]]:
    """Questions by kind, those of one kind from one film after the other; kinds begin with different films."""
    by_film: dict[tuple[int, str], list[Question]] = defaultdict(list)
    for question in questions:
        by_film[kind_of(question.question), str(question.video)].append(question)
    films = sorted({film for _, film in by_film})
    pool: dict[int, list[tuple[int, int, Question]]] = defaultdict(list)
    for (kind, film), some in by_film.items():
        turn = (films.index(film) + kind) % len(films)
        pool[kind] += [(place, turn, question) for place, question in enumerate(some)]
    return {kind: [question for *_, question in sorted(some, key=lambda one: one[:2])] for kind, some in pool.items()}


def _spread(kinds: Sequence[int]) -> list[int]:
    """The kinds in an order that begins with one of every capability: neighbours in the list are alike."""
    by_capability: dict[str, list[int]] = defaultdict(list)
    for kind in kinds:
        by_capability[TEMPLATES[kind].capability].append(kind)
    deepest = max(map(len, by_capability.values()), default=0)
    return [some[place] for place in range(deepest) for some in by_capability.values() if place < len(some)]
