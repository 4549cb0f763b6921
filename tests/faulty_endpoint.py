"""A model behind an address that plays the agent's every role sensibly, and fails as often as it is told to."""

import json
from typing import Any

from tests.agent_scene import answer, ask, cues, doubt, search, verdict, vlm
from tests.openai_server import FAULTS, Body, OpenAIServer

__all__ = ["FAULTS", "FaultyEndpoint", "play"]

SAID = "a cat"
"""What the agent answers to every question for text."""


class FaultyEndpoint(OpenAIServer):
    """Fails the share `rate` of all calls in one of the ways of `kinds`; plays the agent otherwise."""

    def __init__(self, rate: float = 0.0, kinds: tuple[str, ...] = FAULTS, **settings: Any) -> None:
        super().__init__(play, rate=rate, kinds=kinds, **settings)
        self.hang_s = 0.6


def play(body: Body) -> str:
    """What a sensible model says: cues, a search, a look, an answer; the critic agrees."""
    schema = body["response_format"]["json_schema"]["schema"]
    match schema["title"]:
        case "FrameAnswer":
            return vlm(SAID)
        case "Doubt":
            return doubt()
        case "Verdict":
            return verdict(0.9)
    tools = tools_of(schema)
    if "note_cues" in tools:
        return cues()
    said = [message for message in body["messages"] if message["role"] == "assistant"]
    if "search_captions" in tools and len(said) < 2:
        return search(SAID)
    if "ask_vlm" in tools and len(said) < 3:
        return ask(times=[0, 3])
    return answer(SAID, [0])


def tools_of(schema: dict[str, Any]) -> set[str]:
    """The tools that a turn's schema allows."""
    return {name for name in ("note_cues", "search_captions", "ask_vlm", "answer") if f'"{name}"' in json.dumps(schema)}
