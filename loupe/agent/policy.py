"""A policy is a value: who takes the turns, what is shown first, which tools there are, who doubts the answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loupe.agent.critic import Review
from loupe.agent.scene import Scene
from loupe.agent.tool import Tool, Turn, parse_turn, turn_schema
from loupe.agent.tool import tool as as_tool
from loupe.agent.tools.answer import answer
from loupe.asking import parse_answer
from loupe.config import Answer, Role
from loupe.engines.protocol import ChatRequest, Reply
from schemas.messages import Message
from schemas.outputs import FrameAnswer

Tools = tuple[Tool, ...]
ANSWER = as_tool(answer)


@dataclass(frozen=True)
class Form:
    """How a turn is asked for and read."""

    request: Callable[[Scene, tuple[Message, ...], Tools], ChatRequest]
    parse: Callable[[Reply, Tools, bool], Turn]
    """Raises ParseError."""
    steps: Callable[[Scene, int], str]
    """What the model is told of the steps that are left, the next one included."""


@dataclass(frozen=True)
class Policy:
    """A way to answer questions."""

    name: str
    role: Role
    """Whose model takes the turns."""
    roles: tuple[Role, ...]
    """Every role that it may ask, the critic's apart."""
    opening: Callable[[Scene], Awaitable[tuple[Message, ...]]]
    form: Form
    tools: Tools
    """Of every turn between the first and the last."""
    first: Tools = ()
    """Of the first turn, which is no action; none: there is no such turn."""
    last: Tools = (ANSWER,)
    acts: bool = True
    """Whether there is anything to do before the last turn."""
    review: Review | None = None

    def allowance(self, settings: Answer, round: int) -> int:
        """Turns of a round: the first, the actions, the answer."""
        return bool(self.first and round == 0) + (settings.max_actions if self.acts else 0) + 1


def needed_roles(policy: Policy, settings: Answer) -> tuple[Role, ...]:
    """The roles that must have a model for a policy to run."""
    critics: tuple[Role, ...] = ("critic", "critic_vlm")
    return policy.roles + (critics if policy.review and settings.critic.mode != "off" else ())


def _turn_request(scene: Scene, messages: tuple[Message, ...], tools: Tools) -> ChatRequest:
    return ChatRequest(messages, schema=turn_schema(tools, scene.several), max_tokens=scene.settings.turn_tokens)


def _steps(scene: Scene, left: int) -> str:
    return scene.prompt("last_step") if left == 1 else scene.prompt("steps", left=left)


TURNS = Form(_turn_request, parse_turn, _steps)
"""JSON turns: observation, thought, confidence, action."""


def _answer_request(scene: Scene, messages: tuple[Message, ...], tools: Tools) -> ChatRequest:
    return ChatRequest(messages, schema=FrameAnswer.model_json_schema(), max_tokens=scene.settings.ask_tokens)


def _parse_answer(reply: Reply, tools: Tools, several_films: bool) -> Turn:
    said = parse_answer(reply)
    (only,) = tools
    return Turn(said.reasoning, "", None, only, {"content": said.answer, "evidence_times": []})


ONE_SHOT = Form(_answer_request, _parse_answer, lambda scene, left: "")
"""The reasoning and answer of a VLM to a question about frames; it says no confidence."""
