"""What is true of a film, as flat rows with times: the same rows from its screenplay and, as far as it goes, from
captions of its frames. Questions are asked and answered over such rows alone."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from loupe.benchmarks.toytown.screenplay import Film, Scene
from schemas.outputs import FrameCaption


@dataclass(frozen=True)
class Row:
    """One fact. Which fields are set goes with `kind`:

    scene (place), sign (word), person (colour, person: the whole description), object (thing; colour: who has it,
    None while it lies on the ground), event (colour, action; thing; to: the colour of who is handed it),
    line (speaker, text).
    """

    kind: str
    start_ms: int
    end_ms: int
    place: str | None = None
    word: str | None = None
    colour: str | None = None
    person: str | None = None
    thing: str | None = None
    action: str | None = None
    to: str | None = None
    speaker: str | None = None
    text: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def truth_of(film: Film) -> list[Row]:
    """Every scene, sign, person, object, event and line of a film, in order of time."""
    rows = [row for scene in film.scenes for row in _scene_rows(scene)]
    rows += [Row("line", line.start_ms, line.end_ms, speaker=line.speaker, text=line.text) for line in film.lines]
    return sorted(rows, key=lambda row: row.start_ms)


def _scene_rows(scene: Scene) -> Iterable[Row]:
    yield Row("scene", scene.start_ms, scene.end_ms, place=scene.place)
    if scene.sign:
        yield Row("sign", scene.sign.start_ms, scene.sign.end_ms, word=scene.sign.word)
    for event in scene.events:
        yield Row(
            "event",
            event.start_ms,
            event.end_ms,
            colour=event.colour,
            action=event.action,
            thing=event.thing,
            to=event.to,
        )
    spans = []
    for beat in scene.beats:
        for move in beat.moves:
            actor = move.actor
            spans.append(
                Row("person", beat.start_ms, beat.end_ms, colour=actor.person.colour, person=str(actor.person))
            )
            if actor.thing:
                spans.append(Row("object", beat.start_ms, beat.end_ms, thing=actor.thing, colour=actor.person.colour))
        spans += [Row("object", beat.start_ms, beat.end_ms, thing=laid.thing) for laid in beat.laid]
    yield from _joined(spans)


def rows_from_captions(captions: Sequence[tuple[int, FrameCaption]], step_ms: int) -> list[Row]:
    """What captions tell, each given as (ms, caption) and standing for the `step_ms` from then on.

    A black picture belongs to the scene before it. Who was handed a thing is who has it next.
    """
    scenes: list[list[Row]] = []
    place = ""
    for ms, caption in captions:
        if caption.place and caption.place != place:
            place = caption.place
            scenes.append([])
        if scenes:
            scenes[-1] += [Row("scene", ms, ms + step_ms, place=place), *_seen(ms, ms + step_ms, caption)]
    rows = [row for spans in scenes for row in _joined(spans)]
    owned = [row for row in rows if row.kind == "object" and row.colour]
    return [_handed(row, owned) for row in rows]


def _seen(ms: int, until: int, caption: FrameCaption) -> Iterable[Row]:
    """The rows of one caption."""
    yield from (Row("sign", ms, until, word=word) for word in caption.on_screen_text)
    yield from (Row("person", ms, until, colour=who.split()[0], person=who) for who in caption.subjects)
    done = [row for action in caption.actions for row in _doing(ms, until, action)]
    held = {row.thing for row in done if row.kind == "object"}
    yield from done
    yield from (Row("object", ms, until, thing=thing) for thing in caption.objects if thing not in held)


def _doing(ms: int, until: int, action: str) -> Iterable[Row]:
    """The rows of one caption's action, such as "red person picks up ball"."""
    colour, _, doing = action.split(" ", 2)
    if doing.startswith("holds "):
        yield Row("object", ms, until, thing=doing.removeprefix("holds "), colour=colour)
        return
    for name in ("picks up", "drops", "hands over"):
        if doing.startswith(name):
            thing = doing.removeprefix(name).strip() or None
            yield Row("event", ms, until, colour=colour, action=name, thing=thing)
            if thing:
                yield Row("object", ms, until, thing=thing, colour=colour)
            return
    if doing not in ("stands", "walks"):
        yield Row("event", ms, until, colour=colour, action=doing)


def _handed(row: Row, owned: Sequence[Row]) -> Row:
    """A handing over, with who has the thing right after it."""
    if row.action != "hands over":
        return row
    takers = [
        other.colour
        for other in owned
        if other.thing == row.thing and other.colour != row.colour and 0 <= other.start_ms - row.end_ms <= 1000
    ]
    return replace(row, to=takers[0] if takers else None)


def _joined(spans: Iterable[Row]) -> list[Row]:
    """Rows that differ in nothing but their times, joined where one begins as the other ends."""
    open_rows: dict[tuple[str | None, ...], Row] = {}
    done = []
    for span in sorted(spans, key=lambda row: row.start_ms):
        key = (span.kind, span.place, span.word, span.colour, span.person, span.thing, span.action)
        last = open_rows.get(key)
        if last and span.start_ms <= last.end_ms:
            open_rows[key] = replace(last, end_ms=max(last.end_ms, span.end_ms))
            continue
        if last:
            done.append(last)
        open_rows[key] = span
    return sorted([*done, *open_rows.values()], key=lambda row: row.start_ms)
