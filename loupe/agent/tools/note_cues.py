"""The cues of a question, before anything is searched."""

from typing import Annotated

from pydantic import Field

from loupe.agent.scene import Scene
from loupe.agent.tool import Observation, tool

Cue = Annotated[str, Field(max_length=200)]


@tool()
async def note_cues(
    scene: Scene, temporal: Cue, action: Cue, spatial: Cue, semantic: Cue, subject: Cue, length: Cue, search: Cue
) -> Observation:
    """Note what the question goes by, an empty text where it says nothing: when (temporal), what is done (action),
    where (spatial), what it means (semantic), who or what (subject), for how long (length); and a short phrase to
    search captions for, worded as a caption would be (search)."""
    return Observation(scene.prompt("cues_noted"))
