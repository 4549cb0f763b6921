"""The beginning of a prompt: instructions, what is known of the films, the question. What is shared stands first."""

from collections.abc import Sequence

from loupe.agent.films import Film, LogLine
from loupe.agent.scene import Scene
from loupe.agent.tool import Tool
from loupe.agent.tools.search_captions import times
from loupe.timeline import linspace_ms
from loupe.untrusted import as_data, cut
from schemas.messages import Message
from schemas.questions import LETTERS


def opening(scene: Scene, instructions: str, tools: Sequence[Tool]) -> tuple[Message, ...]:
    """Instructions and tools, then films and question."""
    told = "\n".join(f"- {tool.line(scene.several)}" for tool in tools)
    system = scene.prompt(instructions, tools=told, max_actions=scene.settings.max_actions)
    return (
        Message(role="system", content=system),
        Message(
            role="user", content=f"{film_blocks(scene)}\n\n{scene.prompt('question', question=question_text(scene))}"
        ),
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
    return f"[{times(line.start_ms, line.end_ms)}] {line.log}: {as_data(line.text)}"


def thin(lines: Sequence[LogLine], count: int) -> list[LogLine]:
    """At most so many lines, evenly apart."""
    if len(lines) <= count:
        return list(lines)
    return [lines[at] for at in linspace_ms(0, len(lines) - 1, count)] if count else []


def question_text(scene: Scene) -> str:
    """The question with its options and the form of its answer."""
    question = scene.question
    options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=False))
    return scene.prompt(f"question_{question.answer_type}", question=question.question, options=options)
