"""A tool is a function: its signature is its schema. A turn is JSON that says which tool to use, and why.

The first parameter of a tool is the scene, hidden from the model; so is `film` where there is one film.
"""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from loupe.config import Role
from loupe.engines.protocol import ParseError, Reply
from loupe.engines.schemas import with_enum
from schemas.traces import Evidence, MediaRef, SoundRef

FILM = "film"
"""The parameter that says which film, by its number in the prompt, 1 for the first."""
SAID_LETTERS = 8000
"""Of an observation or a thought. No strict mode holds a model to it: it lies above what `turn_tokens` allows."""


class ToolError(Exception):
    """What a tool refuses; the message tells the model what would be right."""


@dataclass(frozen=True)
class Answered:
    """An answer that ends the question, unless the critic sends it back."""

    said: str
    answer: str
    """Normalized."""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Observation:
    """What a tool gives back."""

    text: str
    brief: str | None = None
    """What is kept of it once the same tool has been used again; None: all of it."""
    media: tuple[MediaRef, ...] = ()
    """Frames that the tool looked at."""
    sound: SoundRef | None = None
    """What the tool listened to."""
    percept: bool = False
    """Whether the model that takes the turns is shown these media itself."""
    answered: Answered | None = None


@dataclass(frozen=True)
class Tool:
    """A function that a model may call."""

    name: str
    doc: str
    run: Callable[..., Awaitable[Observation]]
    asks: tuple[Role, ...] = ()
    """Roles whose models it asks."""

    def parameters(self, several_films: bool) -> dict[str, inspect.Parameter]:
        """What the model fills in."""
        _, *shown = inspect.signature(self.run).parameters.values()
        return {each.name: each for each in shown if several_films or each.name != FILM}

    @cache  # noqa: B019 - of a few tools that live as long as the program
    def line(self, several_films: bool) -> str:
        """The tool as a prompt tells it: its signature and its docstring."""
        told = [
            f"{name}: {_type_name(each.annotation)}" + ("" if each.default is each.empty else f" = {each.default!r}")
            for name, each in self.parameters(several_films).items()
        ]
        return f"{self.name}({', '.join(told)}): {self.doc}"


def tool(*asks: Role) -> Callable[[Callable[..., Awaitable[Observation]]], Tool]:
    """Makes a tool of a function that asks the models of some roles, beside the one that takes the turns."""

    def made(run: Callable[..., Awaitable[Observation]]) -> Tool:
        return Tool(run.__name__, " ".join((inspect.getdoc(run) or "").split()), run, asks)

    return made


@dataclass(frozen=True)
class Turn:
    """What a model said in a turn, read."""

    observation: str
    thought: str
    confidence: float | None
    """0-1; None where the form has no place for it."""
    tool: Tool
    arguments: dict[str, Any]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


@lru_cache
def turn_model(tools: tuple[Tool, ...], several_films: bool = False) -> type[BaseModel]:
    """The model of a turn in which these tools may be used."""
    actions = [_action_model(each, several_films) for each in tools]
    action: Any = actions[0]
    if len(actions) > 1:
        action = Annotated[reduce(or_, actions), Field(discriminator="tool")]
    return create_model(
        "Turn",
        __base__=Strict,
        observation=(Annotated[str, Field(max_length=SAID_LETTERS)], ...),
        thought=(Annotated[str, Field(max_length=SAID_LETTERS)], ...),
        confidence=(Annotated[float, Field(ge=0, le=1)], ...),
        action=(action, ...),
    )


def _action_model(tool: Tool, several_films: bool) -> Any:
    fields: dict[str, Any] = {"tool": (Literal[tool.name], ...)}
    fields |= {
        name: (each.annotation, ... if each.default is each.empty else each.default)
        for name, each in tool.parameters(several_films).items()
    }
    return create_model(tool.name, __base__=Strict, **fields)


def turn_schema(tools: tuple[Tool, ...], several_films: bool = False, contents: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON schema of such a turn, in what every engine's strict mode takes: all fields required, `anyOf` alone.

    `contents` is all that the tool `answer` may say; empty: anything. What comes back is to be read only.
    """
    schema = _turn_schema(tools, several_films)
    said = schema["$defs"].get("answer")
    if not contents or said is None:
        return schema
    return schema | {"$defs": schema["$defs"] | {"answer": with_enum(said, "content", contents)}}


@lru_cache
def _turn_schema(tools: tuple[Tool, ...], several_films: bool) -> dict[str, Any]:
    schema: dict[str, Any] = _plain(turn_model(tools, several_films).model_json_schema())
    return schema | {"title": "Turn"}


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _plain(value) for name, value in node.items() if name not in ("default", "discriminator")}
    if isinstance(plain.get("title"), str):
        del plain["title"]
    if "oneOf" in plain:
        plain["anyOf"] = plain.pop("oneOf")
    if plain.get("type") == "object":
        plain |= {"required": list(plain.get("properties", {})), "additionalProperties": False}
    return plain


def parse_turn(reply: Reply, tools: tuple[Tool, ...], several_films: bool = False) -> Turn:
    """The turn in a reply. Raises ParseError where it is not one in which these tools may be used."""
    try:
        said: Any = turn_model(tools, several_films).model_validate_json(reply.text)
    except ValidationError as error:
        raise ParseError.of("a turn", reply, error) from error
    arguments = {name: value for name, value in said.action if name != "tool"}
    named = {each.name: each for each in tools}
    return Turn(said.observation, said.thought, said.confidence, named[said.action.tool], arguments)


def said_arguments(turn: Turn) -> str:
    """The arguments of a turn as a JSON object."""
    return json.dumps(turn.arguments, ensure_ascii=False)


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " | ".join(json.dumps(value) for value in get_args(annotation))
    if args := get_args(annotation):
        if get_origin(annotation) is list:
            return f"list[{_type_name(args[0])}]"
        return " | ".join(_type_name(each) for each in args)
    return "null" if annotation is type(None) else annotation.__name__
