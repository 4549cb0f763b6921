"""The critic: looks for what would speak against an answer, asks a VLM about it, and says how far it trusts it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from loupe.agent.films import Film
from loupe.agent.opening import film_block, question_text, thin
from loupe.agent.scene import Frame, Scene
from loupe.agent.stamps import moment
from loupe.agent.tool import Answered, ToolError
from loupe.agent.tools.ask_vlm import ask_about
from loupe.config import Critic
from loupe.engines.parsing import Asked, read_output
from loupe.engines.protocol import ChatRequest, EngineError, Reply
from loupe.storage import StorageError
from loupe.untrusted import as_data
from schemas.messages import Message
from schemas.outputs import Doubt, FrameAnswer, Output, Verdict
from schemas.traces import MediaRef, TurnRecord, VerdictRecord

T = TypeVar("T", bound=Output)

APART_MS = 3_000
"""Frames closer to the evidence, or to each other, are not from elsewhere."""


@dataclass(frozen=True)
class Claim:
    """An answer to be judged, and how the agent came to it."""

    answered: Answered
    confidence: float | None
    round: int
    turns: Sequence[TurnRecord]
    """The last of them is the answer itself."""


Review = Callable[[Scene, Claim], Awaitable[VerdictRecord]]


def wanted(settings: Critic, confidence: float | None, reviews: int) -> bool:
    """Whether an answer is to be reviewed after so many reviews. One without a confidence is not a sure one."""
    if settings.mode == "off" or reviews >= settings.max_reviews:
        return False
    return settings.mode == "always" or confidence is None or confidence < settings.below


async def review(scene: Scene, claim: Claim) -> VerdictRecord:
    """Judge an answer. A critic that gives no verdict leaves the answer as it is; the record says why."""
    try:
        verdict, media, problem = await _judge(scene, claim)
    except (EngineError, StorageError, ToolError) as error:
        verdict, media, problem = None, (), str(error)
    return VerdictRecord(
        round=claim.round,
        confidence=verdict.confidence if verdict else None,
        possible_errors=tuple(verdict.possible_errors) if verdict else (),
        suggestion=verdict.suggestion if verdict else None,
        sent_back=verdict is not None and verdict.confidence < scene.settings.critic.threshold,
        answer_before=claim.answered.answer,
        confidence_before=claim.confidence,
        media=media,
        calls=scene.models.take_calls(),
        error=problem,
    )


def critique(scene: Scene, verdict: VerdictRecord) -> str:
    """What the agent is told of a verdict that sends its answer back."""
    return scene.prompt(
        "critique",
        confidence=f"{verdict.confidence:.2f}",
        errors="\n".join(f"- {as_data(error)}" for error in verdict.possible_errors),
        suggestion=as_data(verdict.suggestion or ""),
    )


async def _judge(scene: Scene, claim: Claim) -> tuple[Verdict | None, tuple[MediaRef, ...], str | None]:
    """A verdict or the reason why there is none, and the frames that were looked at."""
    film = _film_of(scene, claim)
    messages = _opening(scene, claim, film)
    doubt = await _say(scene, messages, Doubt)
    if doubt.value is None:
        return None, (), f"the critic's doubt: {doubt.error}"
    frames = await _frames(scene, claim, film, doubt.value.search)
    found = await _look(scene, film, doubt.value.question, frames)
    media = tuple(frame.media for frame in frames)
    seen = ", ".join(moment(each.ts_ms) for each in media)
    messages += (
        Message(role="assistant", content=doubt.value.model_dump_json()),
        Message(
            role="user",
            content=scene.prompt(
                "critic_verdict", times=seen, reasoning=as_data(found.reasoning), answer=as_data(found.answer)
            ),
        ),
    )
    verdict = await _say(scene, messages, Verdict)
    return verdict.value, media, None if verdict.value else f"the critic's verdict: {verdict.error}"


def _film_of(scene: Scene, claim: Claim) -> Film:
    """The film that the evidence is of, or that the agent looked at or listened to last, or the first."""
    named = [evidence.video_id for evidence in claim.answered.evidence]
    for turn in reversed(claim.turns):
        named += [each.video_id for each in (*turn.media, *((turn.sound,) if turn.sound else ()))]
    return next((film for name in named for film in scene.films if film.video_id == name), scene.films[0])


def _opening(scene: Scene, claim: Claim, film: Film) -> tuple[Message, ...]:
    steps = (as_data(f"{turn.observation or ''} {turn.thought or ''}") for turn in claim.turns)
    reasoning = "\n".join(f"- {step}" for step in steps if step)
    told = scene.prompt(
        "critic_doubt",
        film=film_block(scene, 1 + scene.films.index(film), film),
        question=question_text(scene),
        answer=as_data(claim.answered.said),
        confidence="unknown" if claim.confidence is None else f"{claim.confidence:.2f}",
        times=", ".join(moment(ts_ms) for ts_ms in evidence_times(claim, film)) or "none",
        reasoning=reasoning[max(0, len(reasoning) - scene.settings.shown.reasoning_letters) :],
    )
    return Message(role="system", content=scene.prompt("critic")), Message(role="user", content=told)


def evidence_times(claim: Claim, film: Film) -> list[int]:
    """The frames that the answer rests on: those that it names, or those that the agent looked at last."""
    named = [evidence.start_ms for evidence in claim.answered.evidence if evidence.video_id == film.video_id]
    looked = next((turn.media for turn in reversed(claim.turns) if turn.media), ())
    own = named or [media.ts_ms for media in looked if media.video_id == film.video_id]
    return sorted(set(own))


async def _frames(scene: Scene, claim: Claim, film: Film, query: str) -> list[Frame]:
    """The frames of the evidence, and those from elsewhere that the critic's own search finds, in order of time.

    Where the evidence is more than may be shown, it is thinned evenly. Of a film that cannot be searched, others are
    taken evenly apart.
    """
    settings = scene.settings
    count = min(settings.critic.frames, max(1, settings.frames // 2))
    own = evidence_times(claim, film)
    if scene.indexed:
        hits = await scene.search(
            query, film, level="frames", start_ms=0, end_ms=film.duration_ms, top_k=settings.top_k
        )
        others = [hit.start_ms for hit in hits if film.caption_at(hit.start_ms)]  # others came since it was opened
    else:
        others = film.between(0, film.duration_ms, count)
    counter = elsewhere(others, thin(own, settings.frames - count), count)
    wanted = {*thin(own, settings.frames - len(counter)), *counter}
    stored = await scene.frames(film, sorted(wanted.intersection(film.times_ms)))
    unstored = sorted(wanted.difference(film.times_ms))
    looked = await scene.look(film, unstored) if unstored else []
    return sorted((*stored, *looked), key=lambda frame: frame.media.ts_ms)


def elsewhere(times_ms: Sequence[int], taken: Sequence[int], count: int) -> list[int]:
    """The first of some times that lie apart from those that are taken, and from each other."""
    chosen: list[int] = []
    for ts_ms in times_ms:
        if len(chosen) < count and all(abs(ts_ms - other) > APART_MS for other in (*taken, *chosen)):
            chosen.append(ts_ms)
    return chosen


async def _look(scene: Scene, film: Film, question: str, frames: Sequence[Frame]) -> FrameAnswer:
    """What the critic's VLM says; where it says nothing that can be read, the critic is told so."""
    if not frames:
        return FrameAnswer(reasoning="", answer="There are no frames to look at.")
    try:
        return await ask_about(scene, "critic_vlm", film, question, frames)
    except ToolError as error:
        return FrameAnswer(reasoning="", answer=str(error))


async def _say(scene: Scene, messages: tuple[Message, ...], kind: type[T]) -> Asked[T]:
    def parse(reply: Reply) -> T:
        return read_output(reply, kind, f"a {kind.__name__.lower()}")

    request = ChatRequest(messages, schema=kind.json_schema(), max_tokens=scene.settings.verdict_tokens)
    return await scene.models.ask("critic", request, parse)
