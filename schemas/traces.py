"""The record of one rollout: every turn, everything that a model was shown and said, and what it cost.

Media are referred to (film, times, pixels, lineage), never carried. A call that a turn makes by itself (the reasoner's)
holds no messages: they follow from `opening` and the turns before it by the view of `view_version`
(loupe.agent.view.prompt_of), and `prompt_hash` proves it. Calls of tools and of the critic hold their messages.

A trace is a row of `TRACES`, whose columns are at once those of a transcript database of Inspect Scout
(https://meridianlabs-ai.github.io/inspect_scout/db_schema.html): `messages` is a JSON list of chat messages, and
`score` and `success` stand empty until somebody has scored the answer.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from schemas.messages import Usage
from schemas.questions import AnswerType

TRACE_VERSION = 3

Status = Literal["answered", "abstained", "turn_limit", "unparsed", "failed"]
"""How a question ended:

- answered: with an answer of its type;
- abstained: with the answer that the film does not say;
- turn_limit: the last turn came, and no answer that could be read;
- unparsed: three turns in a row did not parse;
- failed: an engine gave up, or the row raised; `error` says why.
"""
Limit = Literal["actions", "tokens", "seconds", "cost", "job"]
"""What made a turn the last one: the actions of the policy, a budget of the question, or one of the whole job."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MediaRef(Record):
    """A frame that a model was shown."""

    video_id: str
    ts_ms: int
    """The time that was asked for, the frame's key."""
    pts_ms: int
    """The time of the frame that was on screen then."""
    width: int
    height: int
    """Pixels as they were sent."""
    source: Literal["table", "decode"]
    """From the table `frames`, or decoded from the film."""
    lineage: str
    """Of the frame's chunk: its packets and the sampler."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


class SoundRef(Record):
    """A stretch of a film's sound that a model was played, or given in words."""

    video_id: str
    start_ms: int
    end_ms: int
    lineage: str
    """Of the film's file."""
    given: Literal["sound", "words"]


class ShownPart(Record):
    """A piece of a message: text, or a frame or a sound by reference."""

    text: str | None = None
    media: MediaRef | None = None
    sound: SoundRef | None = None

    def as_text(self) -> str:
        """The piece for a reader: media are a mark that says which."""
        if self.media:
            return f"[frame of {self.media.video_id} at {self.media.ts_ms / 1000:.1f} s]"
        if self.sound:
            start, end = self.sound.start_ms / 1000, self.sound.end_ms / 1000
            return f"[sound of {self.sound.video_id} from {start:.1f} to {end:.1f} s]"
        return self.text or ""


class ShownMessage(Record):
    """A message as a model was shown it."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[ShownPart, ...]

    def as_text(self) -> str:
        """The message for a reader, a line for each piece."""
        return "\n".join(part.as_text() for part in self.parts)


def prompt_hash(messages: Sequence[ShownMessage]) -> str:
    """A short hash of what a model was shown."""
    told = json.dumps([_hashed(message) for message in messages], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _hashed(message: ShownMessage) -> dict[str, Any]:
    """The message as JSON; pieces without sound as they were before there was any, so that old hashes stand."""
    parts = [part.model_dump(exclude=None if part.sound else {"sound"}) for part in message.parts]
    return {"role": message.role, "parts": parts}


class Call(Record):
    """One request to a model and its reply."""

    role: str
    """Whose model: reasoner, vlm, critic, critic_vlm, transcriber."""
    model: str
    """Its name in the config."""
    messages: tuple[ShownMessage, ...] = ()
    """Empty for the call of a turn itself: see the module."""
    prompt_hash: str
    """prompt_hash of the messages, media by reference."""
    said: str = ""
    finish_reason: str = ""
    usage: Usage = Usage()
    retries: int = 0
    """Tries of the engine beyond the first."""
    seconds: float = 0.0
    cost: float = 0.0
    """US dollars."""
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    """Of the tokens written, in nats; None where they were not asked for or the engine has none."""
    mean_entropy: float | None = None
    """Mean over the written tokens of the entropy of what could have been written there, in nats; None where the
    engine gives none."""
    entropy_definition: str | None = None
    """Over which distribution: full or top-k, before or after the grammar's mask."""
    error: str | None = None
    """Why there is no reply, or why it could not be read."""


class TurnRecord(Record):
    """One turn: what was said, what was done, what came back."""

    index: int
    """From 0, over all rounds."""
    round: int
    """0 until the critic sends an answer back, then 1 ..."""
    steps_left: int
    """As the model was told, this turn included; 1 is the last."""
    call: Call
    parsed: bool
    observation: str | None = None
    thought: str | None = None
    confidence: float | None = None
    tool: str | None = None
    """The action; its arguments are a JSON object."""
    arguments: str | None = None
    result: str
    """What the model was told, whole; where it did not parse or the tool refused, what would be right."""
    brief: str | None = None
    """What takes the place of `result` once a newer one of the same tool stands; None: `result` stays."""
    is_error: bool = False
    media: tuple[MediaRef, ...] = ()
    """Frames that the tool looked at."""
    sound: SoundRef | None = None
    """What the tool listened to."""
    percept: bool = False
    """Whether the model that takes the turns is shown `media` and `sound` itself, as long as no newer percept is.
    Words that stand for sound are part of `result`."""
    calls: tuple[Call, ...] = ()
    """Models that the tool asked."""


class Evidence(Record):
    """A stretch of a film that an answer rests on; a single frame starts and ends at its time."""

    video_id: str
    start_ms: int
    end_ms: int
    source: str
    """frames: the table holds it; decode: it was looked at in the film itself."""
    lineage: str


class VerdictRecord(Record):
    """What the critic made of an answer."""

    round: int
    """The round whose answer was judged."""
    confidence: float | None
    """0-1; None where the critic gave no verdict (`error` says why)."""
    possible_errors: tuple[str, ...] = ()
    suggestion: str | None = None
    sent_back: bool
    """Whether the agent went on with the critique."""
    answer_before: str | None
    confidence_before: float | None
    answer_after: str | None = None
    """The answer after the round that followed; the same as before where none did."""
    media: tuple[MediaRef, ...] = ()
    """Frames that the critic looked at: the evidence, and its own from elsewhere."""
    calls: tuple[Call, ...] = ()
    error: str | None = None


class PromptHash(Record):
    """A prompt that the run used."""

    prompt: str
    hash: str


class RoleModel(Record):
    """The model that had a role."""

    role: str
    model: str


class Trace(Record):
    """One rollout, whole."""

    trace_version: int = TRACE_VERSION
    transcript_id: str
    """question_id + "@" + run: unique over runs of the same questions."""
    question_id: str
    run: str
    asked: str
    """Question.asked_hash."""
    question: str
    answer_type: AnswerType
    options: tuple[str, ...] = ()
    videos: tuple[str, ...]
    """The films that were read: those that the question names, or those that the search led to."""
    routed: bool = False
    """Whether a search chose the films."""
    before_ms: int | None = None
    """What lies after this time was hidden."""

    policy: str
    view_version: str
    view_settings: str
    """JSON of the view's bounds: with `view_version` all that a prompt depends on beside the turns."""
    config_hash: str
    prompts: tuple[PromptHash, ...]
    models: tuple[RoleModel, ...]
    date: str
    """When it began: ISO 8601, UTC."""
    seconds: float

    opening: tuple[ShownMessage, ...]
    turns: tuple[TurnRecord, ...]
    verdicts: tuple[VerdictRecord, ...] = ()
    status: Status
    limit: Limit | None = None
    error: str | None = None
    answer_said: str | None = None
    answer: str | None = None
    """Normalized: a letter, a JSON list of [start, end] in seconds, a number in digits, text, or UNANSWERABLE."""
    confidence: float | None = None
    evidence: tuple[Evidence, ...] = ()

    def calls(self) -> Iterator[Call]:
        """Every request to a model, turn by turn, then the critic's."""
        for turn in self.turns:
            yield turn.call
            yield from turn.calls
        for verdict in self.verdicts:
            yield from verdict.calls

    def as_row(self) -> dict[str, Any]:
        """The trace as a row of `TRACES`."""
        calls = list(self.calls())
        messages = self.conversation()
        scout = {
            "source_type": "loupe",
            "source_id": self.config_hash,
            "source_uri": None,
            "task_set": None,
            "task_id": self.question_id,
            "task_repeat": 1,
            "agent": self.policy,
            "agent_args": self.view_settings,
            "model": next((call.model for call in calls), None),
            "model_options": None,
            "score": None,
            "success": None,
            "message_count": len(messages),
            "total_time": self.seconds,
            "total_tokens": sum(call.usage.prompt_tokens + call.usage.completion_tokens for call in calls),
            "messages": json.dumps(messages, ensure_ascii=False),
        }
        return self.model_dump() | scout

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The trace in a row of `TRACES`. Raises ValidationError."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})

    def conversation(self) -> list[dict[str, str]]:
        """The turns as one chat, nothing left out: what the model said, and what it was told."""
        chat = [{"role": message.role, "content": message.as_text()} for message in self.opening]
        for turn in self.turns:
            chat.append({"role": "assistant", "content": turn.call.said})
            if turn.result:
                chat.append({"role": "user", "content": turn.result})
        return chat


def string(name: str) -> pa.Field:
    return pa.field(name, pa.string())


USAGE = pa.struct(
    [
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("images", pa.int64()),
        pa.field("pixels", pa.int64()),
    ]
)
MEDIA = pa.struct(
    [
        string("video_id"),
        pa.field("ts_ms", pa.int64()),
        pa.field("pts_ms", pa.int64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        string("source"),
        string("lineage"),
    ]
)
SOUND = pa.struct(
    [
        string("video_id"),
        pa.field("start_ms", pa.int64()),
        pa.field("end_ms", pa.int64()),
        string("lineage"),
        string("given"),
    ]
)
PART = pa.struct([string("text"), pa.field("media", MEDIA), pa.field("sound", SOUND)])
MESSAGE = pa.struct([string("role"), pa.field("parts", pa.list_(PART))])
CALL = pa.struct(
    [
        string("role"),
        string("model"),
        pa.field("messages", pa.list_(MESSAGE)),
        string("prompt_hash"),
        string("said"),
        string("finish_reason"),
        pa.field("usage", USAGE),
        pa.field("retries", pa.int32()),
        pa.field("seconds", pa.float64()),
        pa.field("cost", pa.float64()),
        pa.field("token_ids", pa.list_(pa.int32())),
        pa.field("logprobs", pa.list_(pa.float64())),
        pa.field("mean_entropy", pa.float64()),
        string("entropy_definition"),
        string("error"),
    ]
)
TURN = pa.struct(
    [
        pa.field("index", pa.int32()),
        pa.field("round", pa.int32()),
        pa.field("steps_left", pa.int32()),
        pa.field("call", CALL),
        pa.field("parsed", pa.bool_()),
        string("observation"),
        string("thought"),
        pa.field("confidence", pa.float64()),
        string("tool"),
        string("arguments"),
        string("result"),
        string("brief"),
        pa.field("is_error", pa.bool_()),
        pa.field("media", pa.list_(MEDIA)),
        pa.field("sound", SOUND),
        pa.field("percept", pa.bool_()),
        pa.field("calls", pa.list_(CALL)),
    ]
)
EVIDENCE = pa.struct(
    [
        string("video_id"),
        pa.field("start_ms", pa.int64()),
        pa.field("end_ms", pa.int64()),
        string("source"),
        string("lineage"),
    ]
)
VERDICT = pa.struct(
    [
        pa.field("round", pa.int32()),
        pa.field("confidence", pa.float64()),
        pa.field("possible_errors", pa.list_(pa.string())),
        string("suggestion"),
        pa.field("sent_back", pa.bool_()),
        string("answer_before"),
        pa.field("confidence_before", pa.float64()),
        string("answer_after"),
        pa.field("media", pa.list_(MEDIA)),
        pa.field("calls", pa.list_(CALL)),
        string("error"),
    ]
)
PROMPT = pa.struct([string("prompt"), string("hash")])
ROLE_MODEL = pa.struct([string("role"), string("model")])

TRACES = pa.schema(
    [
        pa.field("transcript_id", pa.string(), nullable=False),
        pa.field("question_id", pa.string(), nullable=False),
        string("run"),
        pa.field("trace_version", pa.int32()),
        string("asked"),
        string("question"),
        string("answer_type"),
        pa.field("options", pa.list_(pa.string())),
        pa.field("videos", pa.list_(pa.string())),
        pa.field("routed", pa.bool_()),
        pa.field("before_ms", pa.int64()),
        string("policy"),
        string("view_version"),
        string("view_settings"),
        string("config_hash"),
        pa.field("prompts", pa.list_(PROMPT)),
        pa.field("models", pa.list_(ROLE_MODEL)),
        string("date"),
        pa.field("seconds", pa.float64()),
        pa.field("opening", pa.list_(MESSAGE)),
        pa.field("turns", pa.list_(TURN)),
        pa.field("verdicts", pa.list_(VERDICT)),
        string("status"),
        string("limit"),
        string("error"),
        string("answer_said"),
        string("answer"),
        pa.field("confidence", pa.float64()),
        pa.field("evidence", pa.list_(EVIDENCE)),
        # Inspect Scout's own
        string("source_type"),
        string("source_id"),
        string("source_uri"),
        string("task_set"),
        string("task_id"),
        pa.field("task_repeat", pa.int64()),
        string("agent"),
        string("agent_args"),
        string("model"),
        string("model_options"),
        string("score"),
        pa.field("success", pa.bool_()),
        pa.field("message_count", pa.int64()),
        pa.field("total_time", pa.float64()),
        pa.field("total_tokens", pa.int64()),
        string("messages"),
    ]
)
"""`traces/`: one row a rollout."""
