"""What the documents say is what the code has."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from loupe.answering import store
from loupe.config import Answer
from loupe.config.section import Section
from loupe.library.tables import STEPS

ROOT = Path(__file__).parent.parent


def test_every_boundary_stands_in_the_table_of_the_docs() -> None:
    table = (ROOT / "docs" / "exactly_once.md").read_text()
    steps = STEPS | store.STEPS
    assert [step for step, sees in steps.items() if f"| `{step}` | {sees} |" not in table] == []


def keys(section: type[Section], prefix: str) -> Iterator[tuple[str, str]]:
    """Every key of a section with the sentence that stands under it in the code."""
    told: dict[str, str] = {}
    for one in reversed([cls for cls in section.__mro__ if issubclass(cls, Section)]):
        (definition,) = ast.parse(inspect.getsource(one)).body
        assert isinstance(definition, ast.ClassDef)
        for line, after in zip(definition.body, definition.body[1:], strict=False):
            match line, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                    told[name] = " ".join(sentence.split())
    for name, field in section.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, Section):
            yield from keys(field.annotation, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", told[name]


def test_every_key_of_how_questions_are_answered_stands_in_the_docs() -> None:
    table = (ROOT / "docs" / "answering.md").read_text()
    assert [key for key, told in keys(Answer, "answer") if f"| `{key}` | {told} |" not in table] == []
