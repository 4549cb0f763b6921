"""Oracles that play the roles of the agent on toytown, as engines: a reasoner, a VLM and a critic.

What the reasoner says follows from its prompt alone, so that a student who reads the same prompt can learn it; at times
it errs, and mends that in the turn after. The VLM and the critic know the film.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from loupe.agent.normalizing import normalize
from loupe.benchmarks.toytown.captions import Seen as Visible
from loupe.benchmarks.toytown.captions import visible
from loupe.benchmarks.toytown.screenplay import Film
from loupe.engines.protocol import ChatRequest, Reply
from loupe.scoring.answers import is_right
from loupe.training.toytown_lessons.oracle_plans import plan_of
from loupe.training.toytown_lessons.oracle_prompts import OFF, VLM, Done, Seen, frames_of, text_of
from loupe.training.toytown_lessons.oracle_steps import Plan, Step
from schemas.messages import Message, Usage
from schemas.outputs import Doubt, FrameAnswer, Verdict
from schemas.questions import UNANSWERABLE, Question

SURE, UNSURE = 0.9, 0.2
PlanOf = Callable[[Seen], Plan]
HASTE = 0.4
"""Of the mistakes before the answer, how many are an answer."""
SLIPS = 2.0
"""How much likelier a wrong answer is than another mistake: the critic learns from those alone."""
LAST = "Answer now."
DOUBT = re.compile(r"Question: (.*?)\n(.*)Answer: (.*?) at ([^\n]*)\n(.*)\nWhat to see\?", re.DOTALL)


def reply(text: str) -> Reply:
    return Reply(text, Usage(), "stop")


def compact(value: object) -> str:
    """JSON as the tiny model writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- the reasoner -----------------------------------------------------------------------------------------------------


def right_turn(messages: tuple[Message, ...], plan_of: PlanOf = plan_of) -> str:
    """What the reasoner is to say to a prompt. Raises ValueError for a prompt that it cannot read."""
    step, note = next_step(Seen.of(messages), plan_of)
    if text_of(messages[-1]).endswith(LAST) and step.tool != "answer":
        step = Step("answer", {"content": UNANSWERABLE, "evidence_times": []}, lambda result: "", "Answer.", UNSURE)
    return said(step, note)


def next_step(seen: Seen, plan_of: PlanOf) -> tuple[Step, str]:
    """The step of the plan that comes next, and what is noted of the result before: turns off the plan are passed."""
    return follow(plan_of(seen), seen.done, lambda step, turn: step.read(turn.result))


def follow(plan: Plan, done: Sequence[Done], read: Callable[[Step, Done], str]) -> tuple[Step, str]:
    """The step that a plan takes after some turns, and what is noted of the last of these, which `read` tells."""
    step, note = next(plan), ""
    for turn in done:
        if turn.noted == OFF or (turn.action is not None and not is_step(turn.action, step)):
            note = OFF
            continue
        note = read(step, turn) if turn.noted is None else turn.noted
        step = plan.send(note)
    return step, note


def is_step(action: Mapping[str, object], step: Step) -> bool:
    """Whether a turn that was said, whole or short, is this step."""

    def told(values: Mapping[str, object]) -> dict[str, object]:
        return {name: value for name, value in values.items() if value not in (None, "")}

    return told(action) == told(step.action())


def said(step: Step, note: str) -> str:
    turn = {"observation": note, "thought": step.thought, "confidence": step.confidence, "action": step.action()}
    return compact(turn)


class Reasoner:
    """Takes the right turn, or with a probability of `errs` a wrong one."""

    def __init__(self, rng: np.random.Generator, errs: float = 0.0, plan_of: PlanOf = plan_of) -> None:
        self.rng, self.errs, self.plan_of = rng, errs, plan_of

    async def chat(self, request: ChatRequest) -> Reply:
        """The next turn."""
        seen = Seen.of(request.messages)
        step, note = next_step(seen, self.plan_of)
        told = text_of(request.messages[-1])
        warned = told.endswith(LAST) or "<critic>" in told
        errs = SLIPS * self.errs if step.tool == "answer" else self.errs
        if not warned and step.tool != "note_cues" and self.rng.random() < errs:
            return reply(said(self._mistake(seen, step), note))
        return reply(right_turn(request.messages, self.plan_of))

    def _mistake(self, seen: Seen, step: Step) -> Step:
        """A poor phrase, a wrong window, frames of another time; a hasty answer, or one that the notes do not say."""
        rng, arguments = self.rng, dict(step.arguments)
        others = [option for option in seen.options if option != arguments.get("content")]
        if others and (step.tool == "answer" or rng.random() < HASTE):
            content = others[int(rng.integers(len(others)))]
            times = arguments.get("evidence_times", [])
            return Step("answer", {"content": content, "evidence_times": times}, step.read, "Answer.", SURE)
        if step.tool == "search_captions":
            if rng.random() < 0.5:
                arguments["query"] = " ".join(seen.question.split()[:3])
            else:
                arguments |= {"start": 0.0, "end": 10.0}
        elif step.tool == "ask_vlm":
            arguments["times"] = [float(rng.integers(30))]
        return Step(step.tool, arguments, step.read, step.thought, step.confidence)

    async def close(self) -> None:
        """Nothing is held."""


# --- the VLM ----------------------------------------------------------------------------------------------------------

Told = tuple[str, str]
"""What of a frame leads to an answer, and the answer."""


def _place(place: str, sign: str | None, shown: Visible, *names: str) -> Told:
    return place, place


def _sign(place: str, sign: str | None, shown: Visible, *names: str) -> Told | None:
    return (sign, sign) if sign else None


def _person(place: str, sign: str | None, shown: Visible, *names: str) -> Told | None:
    for actor in shown.actors:
        if actor.person.colour == names[0]:
            return str(actor.person), actor.person.hat
    return None


def _shape(place: str, sign: str | None, shown: Visible, *names: str) -> Told | None:
    for actor in shown.actors:
        if actor.person.colour == names[0]:
            return str(actor.person), actor.person.shape
    return None


def _who(place: str, sign: str | None, shown: Visible, *names: str) -> Told | None:
    who = ", ".join(f"{actor.person.colour} person" for actor in shown.actors)
    return (who, who) if who else None


QUESTIONS: dict[str, Callable[..., Told | None]] = {
    r"Where is this\?": _place,
    r"What does the sign say\?": _sign,
    r"What does the (\w+) person wear\?": _person,
    r"What shape is the (\w+) person\?": _shape,
    r"Who is seen\?": _who,
}
"""What can be asked about frames; the first frame that shows it is told."""


class Vlm:
    """Sees what frames of a film truly show."""

    def __init__(self, film: Film) -> None:
        self.film = film

    async def chat(self, request: ChatRequest) -> Reply:
        """An answer about frames."""
        question = text_of(request.messages[-1]).rpartition("Question: ")[2]
        return reply(self.look(question, [ts_ms for ts_ms, _ in frames_of(request)]).model_dump_json())

    def look(self, question: str, times_ms: list[int]) -> FrameAnswer:
        """What frames say to a question: the time of the first that shows it, what is there, the answer."""
        for form, tell in QUESTIONS.items():
            match = re.fullmatch(form, question)
            for ts_ms in times_ms if match else ():
                still = self.film.still(ts_ms / 1000)
                shown = visible(still)
                told = tell(still.place, still.sign, shown, *match.groups()) if shown and match else None
                if told:
                    return FrameAnswer(reasoning=f"[{ts_ms / 1000:.1f}] {told[0]}", answer=told[1])
        return FrameAnswer(reasoning="not shown", answer="nothing")

    async def close(self) -> None:
        """Nothing is held."""


# --- the critic -------------------------------------------------------------------------------------------------------


class Critic:
    """Knows what is right, and says of a wrong answer what is wrong with it."""

    def __init__(self, questions: Mapping[str, Question]) -> None:
        self.questions = questions
        """By `asked_as`."""

    async def chat(self, request: ChatRequest) -> Reply:
        """What to see, or the verdict."""
        told = text_of(request.messages[1])
        asked = DOUBT.search(told)
        if not asked:
            raise ValueError("the prompt does not tell an answer to doubt")
        if len(request.messages) == 2:
            return reply(self._doubt(asked).model_dump_json())
        return reply(self._verdict(asked, text_of(request.messages[-1])).model_dump_json())

    def _doubt(self, asked: re.Match[str]) -> Doubt:
        """The phrase that a search would begin with, and the question of the kind."""
        question = asked[1]
        person = re.search(r"(\w+) person\?$", question)
        if question.startswith("What is on the head") and person:
            wanted = f"What does the {person[1]} person wear?"
        elif question.startswith("Which shape") and person:
            wanted = f"What shape is the {person[1]} person?"
        elif "sign" in question:
            wanted = "What does the sign say?"
        elif "place" in question or "film" in question:
            wanted = "Where is this?"
        else:
            wanted = "Who is seen?"
        return Doubt(search=asked[3], question=wanted)

    def _verdict(self, asked: re.Match[str], told: str) -> Verdict:
        question = self.questions[asked_as(asked[1], asked[2])]
        if self._is_right(question, asked[3]):
            return Verdict(possible_errors=[], suggestion="", confidence=SURE)
        if asked[4] == "none":
            return Verdict(possible_errors=["No evidence."], suggestion="Search first.", confidence=UNSURE)
        seen = VLM.search(told)
        return Verdict(
            possible_errors=[f"It is not {asked[3]}."],
            suggestion=f"The frames show {seen[2] if seen else 'nothing'}.",
            confidence=UNSURE,
        )

    @staticmethod
    def _is_right(question: Question, content: str) -> bool:
        assert question.answer is not None
        return is_right(question.answer_type, normalize(question, content), question.answer)

    async def close(self) -> None:
        """Nothing is held."""


def asked_as(question: str, options: str) -> str:
    """A question with its options, whatever else stands around them: two questions may differ in options alone."""
    return "\n".join([question, *re.findall(r"^[A-J]\. .+$", options, re.MULTILINE)])
