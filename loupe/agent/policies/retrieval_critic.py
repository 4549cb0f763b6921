"""Search captions, look at frames, answer; then a critic doubts the answer, and the agent may think again."""

from loupe.agent import critic
from loupe.agent.opening import opening
from loupe.agent.policy import TURNS, Policy
from loupe.agent.scene import Scene
from loupe.agent.tools.answer import answer
from loupe.agent.tools.ask_vlm import ask_vlm
from loupe.agent.tools.note_cues import note_cues
from loupe.agent.tools.search_captions import search_captions
from schemas.messages import Message

TOOLS = (search_captions, ask_vlm, answer)


async def _opening(scene: Scene) -> tuple[Message, ...]:
    return opening(scene, "retrieval_critic", (note_cues, *TOOLS))


POLICY = Policy(
    name="retrieval_critic",
    role="reasoner",
    opening=_opening,
    form=TURNS,
    first=(note_cues,),
    tools=TOOLS,
    review=critic.review,
)
