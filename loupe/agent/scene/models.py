"""What a question asks of models: every call is recorded, and counts towards the budgets."""

from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import TypeVar

from loupe.agent.budget import Spent
from loupe.agent.footage import FilmFile
from loupe.agent.scene.desk import Desk, Lines, transcript_id
from loupe.agent.scene.media import ShownMedia
from loupe.config import Role
from loupe.engines.parsing import Asked, ask
from loupe.engines.protocol import ChatRequest, EngineError, Reply
from loupe.sound import Sound
from schemas.questions import Question
from schemas.traces import Call, Limit, ShownMessage, ShownPart, SoundRef, prompt_hash

T = TypeVar("T")


class Models:
    """The models of a desk, as one question asks them."""

    def __init__(self, desk: Desk, question: Question, media: ShownMedia) -> None:
        self._desk = desk
        self._session = transcript_id(desk, question)
        self._media = media
        self._calls: list[Call] = []
        self._spent = Spent(desk.clock())

    async def chat(self, role: Role, request: ChatRequest) -> Reply:
        """Ask a role's model once. Raises EngineError."""
        name, answer = self._desk.config.roles[role], self._desk.answer
        call, began = self._call(role, self._media.by_reference(request.messages)), self._desk.clock()
        try:
            reply = await self._desk.engines[name].chat(
                replace(request, session=self._session, logprobs=answer.logprobs)
            )
        except EngineError as error:
            self._record(call, began, error=str(error))
            raise
        cost = self._desk.config.cost(reply.usage, role)
        self._spend(reply.usage.prompt_tokens + reply.usage.completion_tokens, cost)
        self._record(
            call,
            began,
            said=reply.text,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            retries=reply.retries,
            cost=cost,
            token_ids=reply.token_ids,
            logprobs=reply.logprobs,
            mean_entropy=fmean(reply.entropies) if reply.entropies else None,
            entropy_definition=reply.entropy_definition,
        )
        return reply

    async def ask(self, role: Role, request: ChatRequest, parse: Callable[[Reply], T]) -> Asked[T]:
        """Ask until a reply parses, a few times. Raises EngineError."""
        return await ask(_OfRole(self, role), request, parse)

    async def transcribe(self, file: FilmFile, sound: SoundRef, samples: Sound) -> Lines:
        """What is said in a stretch of a film, which is held from then on. Raises EngineError."""
        call = self._call("transcriber", (ShownMessage(role="user", parts=(ShownPart(sound=sound),)),))
        began = self._desk.clock()
        try:
            heard = await self._desk.hear(samples, sound.start_ms)
        except EngineError as error:
            self._record(call, began, error=str(error))
            raise
        cost = self._desk.config.cost_of_sound(heard.seconds)
        self._spend(0, cost)
        self._record(call, began, said=" ".join(line.text for line in heard.lines), cost=cost)
        self._desk.keep_heard(file, sound.start_ms, sound.end_ms, heard.lines)
        return heard.lines

    def take_calls(self) -> tuple[Call, ...]:
        """The calls since the last time, which belong to whoever takes them."""
        calls, self._calls = tuple(self._calls), []
        return calls

    def limit(self) -> Limit | None:
        """The budget that has been reached, if any."""
        now, answer = self._desk.clock(), self._desk.answer
        if reached := self._spent.reached(answer.budget, now):
            return reached
        return "job" if self._desk.spent.reached(answer.job_budget, now) else None

    def _call(self, role: Role, shown: tuple[ShownMessage, ...]) -> Call:
        name = self._desk.config.roles[role]
        return Call(role=role, model=name, messages=shown, prompt_hash=prompt_hash(shown))

    def _spend(self, tokens: int, cost: float) -> None:
        """Count a call towards the budgets of the question and of the job."""
        for spent in (self._spent, self._desk.spent):
            spent.add(tokens, cost)

    def _record(self, call: Call, began: float, **got: object) -> None:
        self._calls.append(call.model_copy(update={"seconds": self._desk.clock() - began, **got}))


class _OfRole:
    """A role's engine."""

    def __init__(self, models: Models, role: Role) -> None:
        self._models = models
        self._role = role

    async def chat(self, request: ChatRequest) -> Reply:
        return await self._models.chat(self._role, request)

    async def close(self) -> None:
        """The desk closes its engines."""
