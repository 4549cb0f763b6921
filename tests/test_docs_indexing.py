"""What docs/indexing.md says of the index job's stages is what the code has."""

import ast
import inspect

import pytest

from loupe.config import ROOT
from loupe.config.index import Stage, Stages
from loupe.config.section import Actors, Section


@pytest.mark.parametrize("section", [Actors, Stage, Stages])
def test_every_key_of_a_stage_stands_in_the_docs(section: type[Section]) -> None:
    table = (ROOT / "docs" / "indexing.md").read_text()
    (definition,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(definition, ast.ClassDef)
    told = {
        line.target.id: " ".join(sentence.split())
        for line, after in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(sentence := ast.literal_eval(after.value), str)
    }
    assert told.keys() == section.__annotations__.keys()
    assert [key for key, sentence in told.items() if f"| `{key}` | {sentence} |" not in table] == []
