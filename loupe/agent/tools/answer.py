"""The answer, with the times that it rests on."""

from typing import Annotated

from pydantic import Field

from loupe.agent.normalizing import normalize
from loupe.agent.scene import Scene
from loupe.agent.tool import Answered, Observation, ToolError
from schemas.traces import Evidence


async def answer(
    scene: Scene,
    content: Annotated[str, Field(max_length=4000)],
    evidence_times: Annotated[list[float], Field(max_length=64)],
    film: int = 1,
) -> Observation:
    """Answer the question and end. content has the form that the question asks for, or is "unanswerable" where the
    film does not say. evidence_times are the times in seconds that the answer rests on."""
    where = scene.film(film)
    try:
        normalized = normalize(scene.question, content)
    except ValueError as error:
        raise ToolError(str(error)) from error
    source = "decode" if where.decoded else "frames"
    evidence = tuple(
        Evidence(video_id=where.video_id, start_ms=ts_ms, end_ms=ts_ms, source=source, lineage=where.lineage_at(ts_ms))
        for ts_ms in scene.frame_times(where, evidence_times)
    )
    return Observation("", answered=Answered(content, normalized, evidence))
