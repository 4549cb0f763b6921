"""Search captions, look at frames, answer; then a critic doubts the answer, and the agent may think again."""

from loupe.agent import critic
from loupe.agent.opening import opening
from loupe.agent.policy import ANSWER, TURNS, Policy
from loupe.agent.scene import Scene
from loupe.agent.tool import tool
from loupe.agent.tools.ask_vlm import ask_vlm
from loupe.agent.tools.note_cues import note_cues
from loupe.agent.tools.search_captions import search_captions
from schemas.messages import Message

CUES = tool(note_cues)
TOOLS = (tool(search_captions), tool(ask_vlm), ANSWER)


async def _opening(scene: Scene) -> tuple[Message, ...]:
    return opening(scene, "retrieval_critic", (CUES, *TOOLS))


POLICY = Policy(
    name="retrieval_critic",
    role="reasoner",
    roles=("reasoner", "vlm"),
    opening=_opening,
    form=TURNS,
    first=(CUES,),
    tools=TOOLS,
    review=critic.review,
)
