"""One loop for every policy: turn by turn until there is an answer. A rollout is data, never a crash.

What does not parse and what a tool refuses is told to the model and costs a turn; an engine or a storage that gives up
ends the question as `failed`; anything else is an error of the program, and raises.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from loupe.agent import critic, view
from loupe.agent.critic import Claim
from loupe.agent.films import HalfIndexed, UnknownFilm
from loupe.agent.policy import Policy, Tools, needed_roles
from loupe.agent.routing import open_scene
from loupe.agent.rules import Moment
from loupe.agent.scene import Desk, Scene, transcript_id
from loupe.agent.tool import Answered, Observation, ToolError, Turn, said_arguments
from loupe.engines.parsing import TEMPERATURES
from loupe.engines.protocol import EngineError, ParseError
from loupe.storage import StorageError
from schemas.questions import UNANSWERABLE, Question
from schemas.traces import (
    Limit,
    PromptHash,
    RoleModel,
    ShownMessage,
    ShownPart,
    Status,
    Trace,
    TurnRecord,
    VerdictRecord,
)

TRIES = 3
"""Turns in a row that may not parse; and on the last step, turns that give no answer."""


@dataclass
class Rollout:
    """A rollout so far."""

    scene: Scene
    policy: Policy
    opening: tuple[ShownMessage, ...] = ()
    turns: list[TurnRecord] = field(default_factory=list)
    verdicts: list[VerdictRecord] = field(default_factory=list)
    round: int = 0
    steps_left: int = 1
    """Of this round, the next turn included, as the model was told; 1 is the last."""
    limit: Limit | None = None
    """What made the next turn the last one."""
    answered: Answered | None = None
    """The newest answer, and how sure the agent was of it."""
    confidence: float | None = None
    status: Status | None = None
    error: str | None = None

    def tell_steps(self) -> str:
        """Settle how many steps are left, and say it to the model."""
        taken = sum(turn.round == self.round for turn in self.turns)
        duration_ms = sum(film.duration_ms for film in self.scene.films)
        allowed = self.policy.allowance(self.scene.settings, self.round, duration_ms)
        self.steps_left = max(1, allowed - taken)
        self.limit = None
        if self.policy.acts and (reached := self.scene.models.limit() or ("actions" if self.steps_left == 1 else None)):
            self.steps_left, self.limit = 1, reached
        return self.policy.form.steps(self.scene, min(taken + 1, allowed), self.steps_left)

    def tools(self) -> Tools:
        """What may be used in the next turn."""
        if self.steps_left == 1:
            return self.policy.last
        begun = any(turn.parsed and not turn.is_error for turn in self.turns)
        return self.policy.first if self.policy.first and not begun else self.policy.tools_in(self.scene)

    def end(self, status: Status) -> None:
        """Stop; an answer that the critic sent back stands where no other has come."""
        if self.answered is not None:
            status = "abstained" if self.answered.answer == UNANSWERABLE else "answered"
        self.status = status


async def rollout(desk: Desk, policy: Policy, question: Question) -> Trace:
    """Answer a question; the trace says how it ended."""
    began, date = desk.clock(), datetime.now(UTC)
    try:
        scene = await open_scene(desk, question, policy.limits)
        opening = scene.media.by_reference(await policy.opening(scene))
    except (UnknownFilm, HalfIndexed, ToolError) as error:  # no such film, or one that the policy cannot begin with
        return failed(desk, policy, question, str(error), date)
    except StorageError as error:
        return failed(desk, policy, question, named(error), date)
    run = Rollout(scene, policy)
    run.opening = with_steps(opening, run.tell_steps())
    while run.status is None:
        await take_turn(run)
    return record(run, date, desk.clock() - began)


def with_steps(opening: Sequence[ShownMessage], steps: str) -> tuple[ShownMessage, ...]:
    """The opening, with the number of steps at its end."""
    if not steps:
        return tuple(opening)
    *before, last = opening
    return *before, last.model_copy(update={"parts": (*last.parts, ShownPart(text=f"\n{steps}"))})


def standing(run: Rollout) -> Iterator[ShownPart]:
    """What later prompts may show: the opening, and the newest percept even where this prompt has no room for it."""
    yield from (part for message in run.opening for part in message.parts)
    for turn in view.percepts_standing(run.turns, purge=run.scene.settings.looking.purge):
        yield from view.media_parts(turn)


async def take_turn(run: Rollout) -> None:
    """Ask for a turn, do what it says, and record it."""
    scene, tools = run.scene, run.tools()
    shown = view.fit(run.opening, run.turns, run.policy.view_settings(scene.settings))
    request = run.policy.form.request(scene, scene.media.real(shown.messages), tools)
    scene.media.forget_all_but(standing(run))
    temperature = max(scene.settings.temperature, warmth(run.turns))
    try:
        reply = await scene.models.chat(run.policy.role, replace(request, temperature=temperature))
    except EngineError as error:
        give_up(run, None, error)
        return
    try:
        turn = run.policy.form.parse(reply, tools, scene.several)
    except ParseError as error:
        told = "\n".join(f"- {each.line(scene.several)}" for each in tools)
        add(run, None, Observation(scene.prompt("unparsed", reason=error, tools=told)), is_error=True)
        go_on(run)
        return
    try:
        await act(run, turn, run.turns[shown.first :])
    except (EngineError, StorageError) as error:
        give_up(run, turn, error)


async def act(run: Rollout, turn: Turn, shown: Sequence[TurnRecord]) -> None:
    """Do what a turn says, whose prompt showed some turns. Raises EngineError, StorageError."""
    try:
        for rule in run.policy.rules:
            rule(Moment(run.scene, run.turns, shown, run.round, run.steps_left), turn)
        observation, is_error = await turn.tool.run(run.scene, **turn.arguments), False
    except ToolError as error:
        observation, is_error = Observation(str(error)), True
    add(run, turn, observation, is_error=is_error)
    if observation.answered is None:
        go_on(run)
    else:
        await settle(run, observation.answered, turn.confidence)


def add(run: Rollout, turn: Turn | None, observation: Observation, *, is_error: bool) -> None:
    """Put a turn on record: its own call is the first since the last one, the others are its tool's."""
    call, *calls = run.scene.models.take_calls()
    said = {} if turn is None else {name: getattr(turn, name) for name in ("observation", "thought", "confidence")}
    run.turns.append(
        TurnRecord(
            index=len(run.turns),
            round=run.round,
            steps_left=run.steps_left,
            call=call.model_copy(update={"messages": ()}),
            parsed=turn is not None,
            tool=turn.tool.name if turn else None,
            arguments=said_arguments(turn) if turn else None,
            result=observation.text,
            brief=observation.brief,
            is_error=is_error,
            media=observation.media,
            sound=observation.sound,
            percept=observation.percept,
            calls=tuple(calls),
            **said,
        )
    )


def go_on(run: Rollout) -> None:
    """Tell the model how many steps are left, or end where it had its tries."""
    if trailing([not turn.parsed for turn in run.turns]) == TRIES:
        run.end("unparsed")
    elif trailing([turn.is_error and turn.steps_left == 1 for turn in run.turns]) == TRIES:
        run.end("turn_limit")
    else:
        tell(run, run.turns[-1].result)


def tell(run: Rollout, result: str) -> None:
    """Make this the result of the last turn, with the steps that are left."""
    told = "\n".join(filter(None, (result, run.tell_steps())))
    run.turns[-1] = run.turns[-1].model_copy(update={"result": told})


def warmth(turns: Sequence[TurnRecord]) -> float:
    """The temperature that a model needs not to say again what did not parse, or what was refused twice in a row."""
    unparsed = trailing([not turn.parsed for turn in turns])
    refused = trailing([turn.is_error for turn in turns])
    return TEMPERATURES[min(max(unparsed, refused - 1, 0), len(TEMPERATURES) - 1)]


def give_up(run: Rollout, turn: Turn | None, error: EngineError | StorageError) -> None:
    """End with the error of an engine or of the storage."""
    run.error = named(error)
    add(run, turn, Observation(str(error)), is_error=True)
    run.end("failed")


def named(error: Exception) -> str:
    """An error as a row keeps it."""
    return f"{type(error).__name__}: {error}"


async def settle(run: Rollout, answered: Answered, confidence: float | None) -> None:
    """End with an answer, or go on where the critic sends it back."""
    run.answered, run.confidence = answered, confidence
    scene, review = run.scene, run.policy.review
    if review and scene.models.limit() is None and critic.wanted(scene.settings.critic, confidence, len(run.verdicts)):
        verdict = await review(scene, Claim(answered, confidence, run.round, tuple(run.turns)))
        run.verdicts.append(verdict)
        if verdict.sent_back:
            run.round += 1
            tell(run, critic.critique(scene, verdict))
            return
    run.end("answered")


def trailing(marks: Sequence[bool]) -> int:
    """How many at the end are true, without a break."""
    return next((count for count, mark in enumerate(reversed(marks)) if not mark), len(marks))


def record(run: Rollout, date: datetime, seconds: float) -> Trace:
    """The trace of a rollout that has ended."""
    assert run.status is not None
    scene, answered = run.scene, run.answered
    after = [verdict.answer_before for verdict in run.verdicts[1:]] + [answered.answer if answered else None]
    verdicts = [
        verdict.model_copy(update={"answer_after": answer})
        for verdict, answer in zip(run.verdicts, after, strict=False)
    ]
    blank = failed(scene.desk, run.policy, scene.question, run.error, date)
    return blank.model_copy(
        update={
            "videos": tuple(film.video_id for film in scene.films),
            "routed": scene.routed,
            "prompts": tuple(PromptHash(prompt=one.name, hash=one.hash) for _, one in sorted(scene.used.items())),
            "seconds": seconds,
            "opening": run.opening,
            "turns": tuple(run.turns),
            "verdicts": tuple(verdicts),
            "status": run.status,
            "limit": run.limit,
            "answer_said": answered.said if answered else None,
            "answer": answered.answer if answered else None,
            "confidence": run.confidence,
            "evidence": answered.evidence if answered else (),
        }
    )


def failed(desk: Desk, policy: Policy, question: Question, error: str | None, date: datetime | None = None) -> Trace:
    """The trace of a question that failed before its first turn."""
    return Trace(
        transcript_id=transcript_id(desk, question),
        question_id=question.question_id,
        run=desk.run,
        asked=question.asked_hash(),
        question=question.question,
        answer_type=question.answer_type,
        options=question.options,
        videos=question.videos,
        before_ms=question.before_ms,
        policy=policy.name,
        view_version=view.VIEW_VERSION,
        view_settings=policy.view_settings(desk.answer),
        config_hash=desk.config_hash,
        prompts=(),
        models=tuple(RoleModel(role=role, model=desk.config.roles[role]) for role in needed_roles(policy, desk.answer)),
        date=(date or datetime.now(UTC)).isoformat(),
        seconds=0.0,
        opening=(),
        turns=(),
        status="failed",
        error=error,
    )
