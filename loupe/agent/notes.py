"""Notes of earlier questions about a film, for a question that comes later."""

import re
from collections.abc import Sequence

from loupe.agent.films import Film
from loupe.agent.scene import Scene
from loupe.agent.stamps import stretch
from loupe.library.notes import read_notes
from loupe.library.tables import Row
from loupe.untrusted import as_data, cut

LETTERS = 300
"""Of a note, at most."""


def notes_block(scene: Scene) -> str:
    """What is offered of the notes about every film; nothing where the config offers none, or there are none."""
    return "\n\n".join(filter(None, (_of_film(scene, number, film) for number, film in enumerate(scene.films, 1))))


def _of_film(scene: Scene, number: int, film: Film) -> str:
    offered = scene.settings.notes.offer
    if not offered or scene.question.before_ms is not None:
        return ""  # a note about what comes before a limit may tell what its writer saw after it
    known = [row for row in read_notes(scene.desk.config.index.database, film.video_id) if _holds(scene, film, row)]
    chosen = nearest(known, " ".join((scene.question.question, *scene.question.options)), offered)
    if not chosen:
        return ""
    lines = (f"[{stretch(row['start_ms'], row['end_ms'])}] {cut(as_data(row['text']), LETTERS)}" for row in chosen)
    return scene.prompt("earlier_notes", number=number, notes="\n".join(lines))


def _holds(scene: Scene, film: Film, row: Row) -> bool:
    """Whether a note is of another question, and about this version of the film."""
    lineages = {
        film.lineage,
        scene.desk.footage.lineage(scene.file_of(film)),
        *(p.lineage for p in film.parts.values()),
    }
    own = row["transcript_id"].startswith(f"{scene.question.question_id}@")
    return not own and row["lineage"] in lineages


def nearest(rows: Sequence[Row], question: str, count: int) -> list[Row]:
    """The notes that share most words with a question, each text once, in order of time."""
    asked = _words(question)
    once = list({row["text"]: row for row in reversed(rows)}.values())
    best = sorted(once, key=lambda row: (-len(asked & _words(f"{row['text']} {row['question']}")), row["start_ms"]))
    return sorted(best[:count], key=lambda row: (row["start_ms"], row["end_ms"]))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
