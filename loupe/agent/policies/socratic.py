"""The baseline that only reads: captions of the whole film, as many as fit, one answer."""

from loupe.agent import view
from loupe.agent.films import Film
from loupe.agent.opening import film_blocks, question_text
from loupe.agent.policy import TURNS, Policy
from loupe.agent.scene import Scene
from loupe.agent.stamps import stretch
from loupe.agent.tools.answer import answer
from loupe.timeline import linspace_ms
from loupe.untrusted import as_data, cut
from schemas.messages import Message

SPARE_LETTERS = 400
"""Of the prompt's bound, for what stands around the captions: the markers and the steps."""


async def _opening(scene: Scene) -> tuple[Message, ...]:
    system = Message(role="system", content=scene.prompt("socratic", tools=f"- {answer.line(scene.several)}"))
    blocks, question = film_blocks(scene), scene.prompt("question", question=question_text(scene))
    taken = len(system.content) + len(blocks) + len(question) + SPARE_LETTERS
    room = (view.letters_of(scene.settings.shown) - taken) // len(scene.films)
    captions = [
        scene.prompt("captions", number=number, captions=fitting(caption_lines(scene, film), room))
        for number, film in enumerate(scene.films, start=1)
    ]
    return system, Message(role="user", content="\n\n".join((blocks, *captions, question)))


def caption_lines(scene: Scene, film: Film) -> list[str]:
    """Captions with their times, runs of the same one as one line."""
    shown = scene.settings.shown
    runs: list[tuple[int, int, str]] = []
    for caption in film.captions:
        text = cut(as_data(caption.text(shown.caption_fields)), shown.hit_letters)
        if runs and runs[-1][2] == text:
            runs[-1] = (runs[-1][0], caption.ts_ms, text)
        else:
            runs.append((caption.ts_ms, caption.ts_ms, text))
    return [f"[{stretch(start, end)}] {text}" for start, end, text in runs]


def fitting(lines: list[str], letters: int) -> str:
    """As many of the lines, evenly apart, as have so many letters."""
    count = len(lines)
    while True:
        kept = [lines[at] for at in linspace_ms(0, len(lines) - 1, count)] if count else []
        text = "\n".join(kept)
        if len(text) <= letters or not count:
            return text
        count = min(count - 1, int(count * max(letters, 0) / len(text)))


POLICY = Policy(
    name="socratic",
    role="reasoner",
    opening=_opening,
    form=TURNS,
    tools=(answer,),
    acts=False,
)
