"""The baseline that does not choose: frames evenly apart, shown to the VLM at once, one answer.

Of several films only the first, which the search found best, is shown: time stamps of two would be mixed up. With
`answer.passive_times: relevant` it is an oracle instead: shown are frames of the times on which the true answer rests.
"""

from collections.abc import Sequence

from loupe.agent.films import Film
from loupe.agent.opening import question_text
from loupe.agent.policy import ONE_SHOT, Policy
from loupe.agent.scene import Scene
from loupe.agent.tool import ToolError
from loupe.agent.tools.answer import answer
from loupe.asking import ask_request
from loupe.timeline import linspace_ms
from schemas.messages import Message
from schemas.questions import Span


async def _opening(scene: Scene) -> tuple[Message, ...]:
    film = scene.films[0]
    frames = [(frame.media.ts_ms / 1000, frame.image) for frame in await scene.frames(film, _times(scene, film))]
    if not frames:
        raise ToolError(f"{film.video_id} has no frames")
    return ask_request(question_text(scene), frames, scene.load("ask")).messages


def _times(scene: Scene, film: Film) -> list[int]:
    """Frames as the config says; evenly apart where a question has no relevant times, as one without an answer."""
    count = scene.settings.passive_frames
    spans = scene.question.relevant_times if scene.settings.passive_times == "relevant" else ()
    return times_inside(film, spans, count) or film.between(0, film.duration_ms, count)


def times_inside(film: Film, spans: Sequence[Span], count: int) -> list[int]:
    """At most `count` frames in spans, as many of each and at least one; what lies behind the film's end has none."""
    seen = [span for span in spans if span.start_ms < film.duration_ms]
    if len(seen) > count:
        seen = [seen[at] for at in linspace_ms(0, len(seen) - 1, count)]
    return sorted({ts_ms for span in seen for ts_ms in _inside(film, span, count // len(seen))})


def _inside(film: Film, span: Span, count: int) -> list[int]:
    """Evenly apart; the frame that is nearest to a span between two frames."""
    nearest = film.nearest((span.start_ms + span.end_ms) // 2)
    return film.between(span.start_ms, span.end_ms - 1, count) or ([] if nearest is None else [nearest])


POLICY = Policy(
    name="passive",
    role="vlm",
    opening=_opening,
    form=ONE_SHOT,
    tools=(answer,),
    acts=False,
    index="used",
)
