"""How notes that count, order and compare are worded: by the oracles of lessons, and by the exercise in comparing."""

from collections.abc import Iterable, Mapping, Sequence

from schemas.questions import LETTERS

ORDER = "; order "
"""Stands before names in the order in which they were met."""


def with_most(name: str, count: int, most: tuple[str, int]) -> str:
    """How many, and which has the most so far: `B park 74; most beach 90`."""
    return f"{name} {count}; most {most[0]} {most[1]}"


def with_order(note: str, met: Iterable[tuple[str, float]]) -> str:
    """A note, and all that were met in order: `B CAFE 45.0; order BANK 20.0 CAFE 45.0`."""
    return f"{note}{ORDER}{timed(sorted(met, key=lambda each: each[1]))}"


def timed(met: Iterable[tuple[str, float]]) -> str:
    """Names with the times at which they were met: `BANK 20.0 CAFE 45.0`."""
    return " ".join(f"{name} {start:.1f}" for name, start in met)


def compared(count: Mapping[str, int]) -> str:
    """How many of each, and which has the most so far, one by one: `park 3: park 3, beach 5: beach 5`."""
    names = [*count]
    most = [max(names[: number + 1], key=lambda name: count[name]) for number in range(len(names))]
    return ", ".join(f"{name} {count[name]}: {best} {count[best]}" for name, best in zip(names, most, strict=True))


def by_letter(options: Sequence[str]) -> list[tuple[str, str, str]]:
    """Options one after the other: what each is noted by, the option, and the thought that turns to it.

    The letter in the note says how far one is: whoever reads it knows which comes next.
    """
    pairs = zip(LETTERS, options, strict=False)
    return [(f"{letter} {option}", option, f"{letter}: {option}.") for letter, option in pairs]
