"""The beginning of a prompt: instructions, what is known of the films, the question. What is shared stands first."""

from collections.abc import Sequence
from typing import TypeVar

from loupe.agent.films import Film, LogLine
from loupe.agent.scene import Scene
from loupe.agent.stamps import stretch
from loupe.agent.tool import Tool
from loupe.timeline import linspace_ms
from loupe.untrusted import as_data, cut
from schemas.messages import Message
from schemas.questions import LETTERS

T = TypeVar("T")


def opening(scene: Scene, name: str, tools: Sequence[Tool]) -> tuple[Message, ...]:
    """Instructions and tools, then films and question."""
    return instructions(scene, name, tools), first_message(scene, film_blocks(scene))


def instructions(scene: Scene, name: str, tools: Sequence[Tool]) -> Message:
    """The prompt of a policy, with its tools and what bounds them."""
    limits = scene.limits
    told = scene.prompt(
        name,
        tools="\n".join(f"- {tool.line(scene.several)}" for tool in tools),
        max_actions=scene.settings.max_actions,
        frames=limits.frames,
        listen_seconds=f"{limits.listen_s:g}",
        watch_seconds=f"{limits.watch_s:g}",
        sure=f"{scene.settings.looking.sure:g}",
    )
    return Message(role="system", content=told)


def first_message(scene: Scene, films: str) -> Message:
    """What is told of the films, then the question."""
    return Message(role="user", content=f"{films}\n\n{scene.prompt('question', question=question_text(scene))}")


def file_blocks(scene: Scene) -> str:
    """What the files of the films say of themselves, and nothing of what is in them."""
    return "\n".join(file_block(scene, number, film) for number, film in enumerate(scene.films, start=1))


def file_block(scene: Scene, number: int, film: Film) -> str:
    """A film: its number, length, frame rate, size, and whether it has sound that can be listened to."""
    file = scene.file_of(film)
    return scene.prompt(
        "film_file",
        number=number,
        seconds=f"{film.duration_ms / 1000:.1f}",
        fps=f"{file.fps:.4g}" if file.fps else "unknown",
        width=file.width,
        height=file.height,
        sound="with sound" if scene.can_hear(film) else "no sound",
    )


def film_blocks(scene: Scene) -> str:
    """What is known of every film of the question."""
    return "\n\n".join(film_block(scene, number, film) for number, film in enumerate(scene.films, start=1))


def film_block(scene: Scene, number: int, film: Film) -> str:
    """A film: its number, length, summary, and its logs, thinned evenly to what the config shows."""
    shown = scene.settings.shown
    return scene.prompt(
        "film",
        number=number,
        seconds=f"{film.duration_ms / 1000:.1f}",
        summary=cut(as_data(film.summary), shown.summary_letters),
        log="\n".join(map(log_line, thin(film.log, shown.log_lines))),
    )


def log_line(line: LogLine) -> str:
    """A line of a log, with its times."""
    return f"[{stretch(line.start_ms, line.end_ms)}] {line.log}: {as_data(line.text)}"


def thin(items: Sequence[T], count: int) -> list[T]:
    """At most so many of some items, evenly apart."""
    if len(items) <= count:
        return list(items)
    return [items[at] for at in linspace_ms(0, len(items) - 1, count)] if count > 0 else []


def question_text(scene: Scene) -> str:
    """The question with its options and the form of its answer."""
    question = scene.question
    options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=False))
    return scene.prompt(f"question_{question.answer_type}", question=question.question, options=options)
