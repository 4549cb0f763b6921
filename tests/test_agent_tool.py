"""A tool is a function: what its signature says is what a model must write. A policy is a value."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
import xgrammar
from pydantic import Field

from loupe.agent.loop import rollout
from loupe.agent.normalizing import normalize
from loupe.agent.policies import POLICIES
from loupe.agent.scene import Scene
from loupe.agent.tool import Observation, ToolError, parse_turn, tool, turn_schema
from loupe.engines.protocol import ChatRequest, ParseError, Reply
from loupe.engines.scripted import digest
from schemas.messages import Message, Usage
from schemas.questions import UNANSWERABLE
from tests.agent_scene import Cast, answer, cues, question, small_library, turn


async def weigh(
    scene: Scene, thing: str, grams: Annotated[int | None, Field(ge=1)] = None, film: int = 1
) -> Observation:
    """Put a thing
    on the scales."""
    if thing == "boat":
        raise ToolError("A boat does not fit on the scales; weigh something smaller.")
    return Observation(f"{thing} of {scene.film(film).video_id}: {grams or 5} g")


WEIGH = tool()(weigh)
POLICY = POLICIES["retrieval_critic"]


def test_a_signature_is_a_schema_that_strict_modes_take() -> None:
    assert WEIGH.line(False) == "weigh(thing: str, grams: int | null = None): Put a thing on the scales."
    assert "film: int = 1" in WEIGH.line(True)
    action = turn_schema((WEIGH,))["$defs"]["weigh"]
    assert action == {
        "type": "object",
        "properties": {
            "tool": {"const": "weigh", "type": "string"},
            "thing": {"type": "string"},
            "grams": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        },
        "required": ["tool", "thing", "grams"],
        "additionalProperties": False,
    }
    assert "film" in turn_schema((WEIGH,), True)["$defs"]["weigh"]["required"]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("tools", [POLICY.first, POLICY.tools, POLICY.last])
def test_every_turn_can_be_held_by_a_grammar(tools: Any, several: bool) -> None:
    schema = turn_schema(tools, several)
    for node in (schema, *schema["$defs"].values()):
        assert node["required"] == list(node["properties"])
        assert node["additionalProperties"] is False
    assert "oneOf" not in json.dumps(schema)
    xgrammar.Grammar.from_json_schema(json.dumps(schema), any_whitespace=False)


def test_what_the_schema_allows_is_read() -> None:
    for tools in (POLICY.first, POLICY.tools, POLICY.last):
        request = ChatRequest((Message(role="user", content="?"),), schema=turn_schema(tools))
        said = parse_turn(Reply(digest(request), Usage(), "stop"), tools)
        assert said.tool == tools[0]


@pytest.mark.parametrize(
    ("options_by", "said"),
    [("letter", ["A", "B", UNANSWERABLE]), ("letter_or_text", ["A", "B", "a cat", "a dog", UNANSWERABLE])],
)
@pytest.mark.parametrize("policy", ["retrieval_critic", "passive"])
async def test_the_answer_to_a_choice_is_one_of_its_options(
    policy: str, options_by: str, said: list[str], tmp_path: Path
) -> None:
    script = [cues(), answer("A")] if policy == "retrieval_critic" else ['{"reasoning": "", "answer": "A"}']
    cast = Cast(small_library(tmp_path), reasoner=script, vlm=script, options_by=options_by)
    await cast.play(question(), policy)
    schema = (cast.engines["reasoner"].requests or cast.engines["vlm"].requests)[-1].schema
    assert schema is not None
    held = schema["$defs"]["answer"]["properties"]["content"] if "$defs" in schema else schema["properties"]["answer"]
    assert held == {"type": "string", "enum": said}
    assert {normalize(question(), content) for content in said} == {"A", "B", UNANSWERABLE}
    xgrammar.Grammar.from_json_schema(json.dumps(schema), any_whitespace=False)


async def test_an_answer_in_words_is_not_held_to_any(tmp_path: Path) -> None:
    cast = Cast(small_library(tmp_path), reasoner=[cues(), answer("a cat")])
    await cast.play(question(options=(), answer="a cat"))
    schema = cast.engines["reasoner"].requests[-1].schema
    assert schema is not None
    assert "enum" not in schema["$defs"]["answer"]["properties"]["content"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_are_numbers(number: str) -> None:
    text = turn("answer", content="A", evidence_times=[123456]).replace("123456", number)
    with pytest.raises(ParseError, match="evidence_times"):
        parse_turn(Reply(text, Usage(), "stop"), POLICY.last)


async def test_another_tool_makes_another_policy(tmp_path: Path) -> None:
    policy = replace(POLICY, name="scales", tools=(WEIGH, *POLICY.last))
    said = [cues(), turn("weigh", thing="boat"), turn("weigh", thing="egg", grams=60), answer("A")]
    cast = Cast(small_library(tmp_path), reasoner=said)
    trace = await rollout(cast.desk, policy, question())
    assert (trace.policy, trace.status) == ("scales", "answered")
    assert trace.turns[1].result.startswith("A boat does not fit on the scales")
    assert trace.turns[2].result.startswith("egg of a.mp4: 60 g")
