"""What the documents say is what the code has."""

import ast
import inspect
from collections.abc import Iterator
from typing import get_args

from loupe.answering import store
from loupe.config import ROOT, Answer, Index, OpenAIModel, Role, VllmModel
from loupe.config.index import Toytown
from loupe.config.models import EmbeddingModel, FasterWhisperModel, LocalModel, Price, Serve, WhisperModel
from loupe.config.section import Section
from loupe.config.serving import Serving
from loupe.library.tables import STEPS


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
            yield f"{prefix}.{name}", told.get(name, "")


def test_every_key_of_a_config_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "config.md").read_text()
    for model in (LocalModel, OpenAIModel, VllmModel, EmbeddingModel, WhisperModel, FasterWhisperModel):
        (engine,) = get_args(model.model_fields["engine"].annotation)
        table = page.partition(f"### `engine: {engine}`\n")[2].partition("\n#")[0]
        assert inspect.cleandoc(model.__doc__ or "") in table
        own = [(key, told) for key, told in keys(model, "") if key.split(".")[1] not in ("engine", "price", "serve")]
        assert [key for key, told in own if f"| `{key[1:]}` | {told} |" not in table] == []
    others = [*keys(Price, "price"), *keys(Serve, "serve"), *keys(Serving, "serving"), *keys(Index, "index")]
    others += keys(Toytown, "index.toytown")
    told = [(key, sentence) for key, sentence in others if not key.startswith("index.stages.")]
    assert [key for key, sentence in told if f"| `{key}` | {sentence} |" not in page] == []
    assert [role for role in get_args(Role) if f"| `{role}` |" not in page] == []


def test_every_key_of_how_questions_are_answered_stands_in_the_docs() -> None:
    table = (ROOT / "docs" / "answering.md").read_text()
    assert [key for key, told in keys(Answer, "answer") if f"| `{key}` | {told} |" not in table] == []
