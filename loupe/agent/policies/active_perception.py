"""Look, listen, note, and look again: one model decides where, sees for itself, and answers. Nothing is indexed.

After "Native Active Perception as Reasoning for Omni-Modal Understanding" (arXiv 2606.19341).
"""

from loupe.agent.opening import file_blocks, first_message, instructions
from loupe.agent.policy import COUNTED_TURNS, Policy, turns_by_length
from loupe.agent.rules import look_before_answer, not_what_still_stands, sure_before_answer
from loupe.agent.scene import Limits, Scene
from loupe.agent.tools.answer import answer
from loupe.agent.tools.listen import listen
from loupe.agent.tools.look import look
from loupe.agent.tools.watch import watch
from schemas.messages import Message

TOOLS = (look, listen, watch, answer)


async def _opening(scene: Scene) -> tuple[Message, ...]:
    return instructions(scene, "active_perception", TOOLS), first_message(scene, file_blocks(scene))


POLICY = Policy(
    name="active_perception",
    role="vlm",
    opening=_opening,
    form=COUNTED_TURNS,
    tools=TOOLS,
    rules=(look_before_answer, sure_before_answer, not_what_still_stands),
    limits=Limits(frames=60, listen_s=300, watch_s=60),
    turns=turns_by_length,
    index="unused",
)
