"""What the documents say is what the code has."""

from pathlib import Path

from loupe.library.tables import STEPS

ROOT = Path(__file__).parent.parent


def test_every_boundary_stands_in_the_table_of_the_docs() -> None:
    table = (ROOT / "docs" / "exactly_once.md").read_text()
    assert [step for step, sees in STEPS.items() if f"| `{step}` | {sees} |" not in table] == []
