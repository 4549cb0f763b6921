"""The oracle that plays the VLM of the policy `passive` on toytown: it knows the answer, and tells what leads to it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby

from loupe.agent.stamps import stretch
from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.screenplay import Film
from loupe.benchmarks.toytown.world import COLOURS, Still
from loupe.engines.protocol import ChatRequest, Reply
from loupe.training.toytown_lessons.oracle import asked_as, reply
from loupe.training.toytown_lessons.oracle_prompts import frames_of, text_of
from schemas.outputs import FrameAnswer
from schemas.questions import Question

NOT_SHOWN = "not shown"
"""What is said where no frame shows what the answer rests on: the answer is then a guess, or that there is none."""
RUNS_TOLD, LETTERS_TOLD = 4, 180
"""Of frames that show the same, at most, and of all that is told of them: the tiny VLM has 96 tokens to answer in."""
SAYS_NOTHING = frozenset({"person", "with", "no", "hat", "in", "at", "the"})
"""Words of captions that are in too many of them."""


class Answerer:
    """Answers questions about a film by its truth; what it was shown decides what it tells of that."""

    def __init__(self, film: Film, questions: Mapping[str, Question]) -> None:
        self.film = film
        self.questions = questions
        """By `asked_as`."""

    async def chat(self, request: ChatRequest) -> Reply:
        """The true answer."""
        asked = text_of(request.messages[-1]).rpartition("Question: ")[2]
        question = self.questions[asked_as(asked.partition("\n")[0], asked)]
        shown = [(ts_ms, self.film.still(ts_ms / 1000)) for ts_ms, _ in frames_of(request)]
        return reply(FrameAnswer(reasoning=reason(question, shown), answer=said(question)).model_dump_json())

    async def close(self) -> None:
        """Nothing is held."""


def said(question: Question) -> str:
    """The true answer as it is to be said: an option by its words, everything else as the question has it."""
    if question.answer_type == "choice" and question.answerable:
        return str(question.value())
    assert question.answer is not None
    return question.answer


def reason(question: Question, shown: Sequence[tuple[int, Still]]) -> str:
    """What leads to the answer in the frames of its times, runs of frames of one time that show the same as one."""
    names = frozenset(_words(question.question)) | frozenset(_words(said(question)))
    told = [
        (number, ", ".join(_asked(still, names)), ts_ms)
        for number, span in enumerate(question.relevant_times)
        for ts_ms, still in shown
        if span.start_ms <= ts_ms < span.end_ms
    ]
    runs = [(what, [ts_ms for _, _, ts_ms in run]) for (_, what), run in groupby(told, key=lambda frame: frame[:2])]
    lines = [f"[{stretch(run[0], run[-1])}] {what}" for what, run in runs if what]
    return "; ".join(_first(lines)) or NOT_SHOWN


def _first(lines: Sequence[str]) -> list[str]:
    """As many lines as may be told, the first of them always."""
    told = list(accumulate(len(line) for line in lines[:RUNS_TOLD]))
    return [line for number, line in enumerate(lines[:RUNS_TOLD]) if number == 0 or told[number] <= LETTERS_TOLD]


def _asked(still: Still, names: frozenset[str]) -> Iterator[str]:
    """What of a caption has to do with a question and its answer. Who acts is told by what they do, not by a colour."""
    true = caption(still)
    for told in (true.place, *true.on_screen_text, *true.subjects):
        if names & set(_words(told)):
            yield told
    doings = [doing for doing in true.actions if names & (set(_words(doing)) - set(COLOURS))]
    yield from doings
    yield from (thing for thing in true.objects if thing in names and not any(thing in doing for doing in doings))


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text) if word not in SAYS_NOTHING]
