"""A policy is a value: who takes the turns, what is shown first, which tools there are, who doubts the answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

from loupe.agent.critic import Review
from loupe.agent.normalizing import contents
from loupe.agent.rules import Rule, not_twice_in_a_row
from loupe.agent.scene import Limits, Scene
from loupe.agent.tool import Tool, Turn, parse_turn, turn_schema
from loupe.agent.tools.answer import answer
from loupe.agent.view import settings_of
from loupe.asking import answer_schema, parse_answer
from loupe.config import Answer, Role, Shown
from loupe.engines.protocol import ChatRequest, Reply
from schemas.messages import Message

Tools = tuple[Tool, ...]


@dataclass(frozen=True)
class Form:
    """How a turn is asked for and read."""

    request: Callable[[Scene, tuple[Message, ...], Tools], ChatRequest]
    parse: Callable[[Reply, Tools, bool], Turn]
    """Raises ParseError."""
    steps: Callable[[Scene, int, int], str]
    """What the model is told of the next step's number, and of the steps that are left, the next one included."""


def actions_and_answer(settings: Answer, duration_ms: int) -> int:
    """The config's number of actions, and the answer."""
    return settings.max_actions + 1


@dataclass(frozen=True)
class Policy:
    """A way to answer questions."""

    name: str
    role: Role
    """Whose model takes the turns."""
    opening: Callable[[Scene], Awaitable[tuple[Message, ...]]]
    form: Form
    tools: Tools
    """Of every turn between the first and the last."""
    first: Tools = ()
    """Of the first turn, which is no action; none: there is no such turn."""
    last: Tools = (answer,)
    acts: bool = True
    """Whether there is anything to do before the last turn."""
    review: Review | None = None
    rules: tuple[Rule, ...] = (not_twice_in_a_row,)
    """What a turn may not do."""
    limits: Limits = Limits()
    """Of one look; the config may narrow them."""
    turns: Callable[[Answer, int], int] = actions_and_answer
    """Turns of a round about films of so many milliseconds, the first apart."""
    index: Literal["needed", "used", "unused"] = "needed"
    """Whether it works where no index is."""
    indexed: Tools = ()
    """Tools that are there besides where the films are indexed."""

    def tools_in(self, scene: Scene) -> Tools:
        """The tools between the first turn and the last, about the films of a scene."""
        return (*self.indexed, *self.tools) if scene.indexed else self.tools

    @property
    def asks(self) -> tuple[Role, ...]:
        """Every role whose model it may ask, the critic's apart."""
        tools = (*self.first, *self.indexed, *self.tools, *self.last)
        return tuple(dict.fromkeys((self.role, *(role for each in tools for role in each.asks))))

    @property
    def perceives(self) -> bool:
        """Whether the model that takes the turns looks and listens by itself."""
        return self.role == "vlm" and self.acts

    def shown(self, settings: Answer) -> Shown:
        """The bounds of its prompts: one that uses no index has its notes alone, and may have room of its own.

        Of one that perceives the newest turn alone stands as it was said: what stays of the others is their notes.
        """
        shown = settings.shown
        room = settings.looking.prompt_tokens if self.index == "unused" else None
        whole = min(1, shown.whole_turns) if self.perceives else shown.whole_turns
        return shown.model_copy(update={"prompt_tokens": room or shown.prompt_tokens, "whole_turns": whole})

    def view_settings(self, settings: Answer) -> str:
        """The bounds of its prompts as a trace keeps them."""
        return settings_of(self.shown(settings), settings.looking)

    def allowance(self, settings: Answer, round: int, duration_ms: int) -> int:
        """Turns of a round about films of this length, the first and the answer included."""
        return bool(self.first and round == 0) + (self.turns(settings, duration_ms) if self.acts else 1)


def needed_roles(policy: Policy, settings: Answer) -> tuple[Role, ...]:
    """The roles that must have a model for a policy to run."""
    critics: tuple[Role, ...] = ("critic", "critic_vlm") if policy.review and settings.critic.mode != "off" else ()
    eyes = tuple(role for role in policy.asks if role != "transcriber")
    ears = tuple(role for role in policy.asks if role == "transcriber" and settings.looking.hearing == "transcript")
    return eyes + critics + ears


def pictures(policy: Policy, settings: Answer) -> dict[Role, int]:
    """Pictures of one prompt, at most, by the role whose model is shown them; where nothing is purged, of all turns."""
    most: dict[Role, int] = {}
    looking = settings.looking
    if policy.role == "vlm":
        rounds = 1 + (settings.critic.max_reviews if "critic" in needed_roles(policy, settings) else 0)
        percepts = 1 if looking.purge else rounds * (looking.max_turns - 1)
        most["vlm"] = looking.frames * percepts if policy.perceives else settings.passive_frames
    if any("vlm" in each.asks for each in policy.tools):
        most["vlm"] = max(most.get("vlm", 0), settings.frames)
    if "critic_vlm" in needed_roles(policy, settings):
        most["critic_vlm"] = settings.frames
    return most


def turns_by_length(settings: Answer, duration_ms: int) -> int:
    """min(5 + minutes, max_turns), the budget of "Native Active Perception as Reasoning", or a fixed number."""
    looking = settings.looking
    return min(5 + duration_ms // 60_000, looking.max_turns) if looking.turns == "by_length" else looking.max_turns


def _turn_request(scene: Scene, messages: tuple[Message, ...], tools: Tools) -> ChatRequest:
    schema = turn_schema(tools, scene.several, _contents(scene))
    return ChatRequest(messages, schema=schema, max_tokens=scene.settings.turn_tokens)


def _contents(scene: Scene) -> tuple[str, ...]:
    return contents(scene.question, texts=scene.settings.options_by == "letter_or_text")


def _steps(scene: Scene, number: int, left: int) -> str:
    return scene.prompt("last_step") if left == 1 else scene.prompt("steps", left=left)


def _steps_counted(scene: Scene, number: int, left: int) -> str:
    name = "last_step_counted" if left == 1 else "steps_counted"
    return scene.prompt(name, number=number, all=number + left - 1, left=left)


TURNS = Form(_turn_request, parse_turn, _steps)
"""JSON turns: observation, thought, confidence, action."""
COUNTED_TURNS = replace(TURNS, steps=_steps_counted)
"""The same; the model is told which step it is."""


def _answer_request(scene: Scene, messages: tuple[Message, ...], tools: Tools) -> ChatRequest:
    schema = answer_schema(_contents(scene))
    return ChatRequest(messages, schema=schema, max_tokens=scene.settings.ask_tokens)


def _parse_answer(reply: Reply, tools: Tools, several_films: bool) -> Turn:
    said = parse_answer(reply)
    (only,) = tools
    return Turn(said.reasoning, "", None, only, {"content": said.answer, "evidence_times": []})


ONE_SHOT = Form(_answer_request, _parse_answer, lambda scene, number, left: "")
"""The reasoning and answer of a VLM to a question about frames; it says no confidence."""
