"""Filters on rows, built from typed values alone: the one place where a value is quoted.

Not a pyarrow expression: Lance takes 20 s and gigabytes for one with 160 alternatives. Not lancedb.expr (0.40): it
leaves the quote in a\\'b as it is, so that a film's name could end the string and go on as SQL.
"""

from collections.abc import Iterable
from typing import NewType

Where = NewType("Where", str)
"""A filter in Lance's SQL, made by the functions below and by nothing else."""
Value = str | int


def equals(column: str, value: Value) -> Where:
    """Rows that have this value."""
    return Where(f"{column} = {_literal(value)}")


def among(column: str, values: Iterable[Value]) -> Where:
    """Rows that have one of these values, at least one."""
    return Where(f"{column} IN ({', '.join(map(_literal, sorted(set(values))))})")


def at_least(column: str, value: int) -> Where:
    """Rows that have this value or a greater one."""
    return Where(f"{column} >= {_literal(value)}")


def above(column: str, value: int) -> Where:
    """Rows that have a greater value."""
    return Where(f"{column} > {_literal(value)}")


def below(column: str, value: int) -> Where:
    """Rows that have a smaller value."""
    return Where(f"{column} < {_literal(value)}")


def all_of(*conditions: Where) -> Where:
    """Rows for which every condition holds."""
    return Where(f"({' AND '.join(conditions)})")


def any_of(conditions: Iterable[Where]) -> Where:
    """Rows for which a condition holds, of at least one; in pairs of pairs, so that thousands do not nest deep."""
    level = list(conditions)
    while len(level) > 1:
        level = [Where(f"({' OR '.join(level[i : i + 2])})") for i in range(0, len(level), 2)]
    return level[0]


def _literal(value: Value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(int(value))
