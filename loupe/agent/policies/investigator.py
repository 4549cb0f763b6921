"""All there is: the index to jump, looking and listening to be sure, a critic to doubt. Needs no index to run."""

import asyncio

from loupe.agent import critic
from loupe.agent.notes import notes_block
from loupe.agent.opening import file_blocks, film_blocks, first_message, instructions
from loupe.agent.policy import COUNTED_TURNS, Policy, turns_by_length
from loupe.agent.rules import look_before_answer, not_twice_in_a_row, not_what_still_stands
from loupe.agent.scene import Limits, Scene
from loupe.agent.tools.answer import answer
from loupe.agent.tools.ask_vlm import ask_vlm
from loupe.agent.tools.listen import listen
from loupe.agent.tools.look import look
from loupe.agent.tools.search_captions import search_captions
from loupe.agent.tools.watch import watch
from schemas.messages import Message


async def _opening(scene: Scene) -> tuple[Message, ...]:
    known = [film_blocks(scene)] if scene.indexed else []
    noted = await asyncio.to_thread(notes_block, scene)
    films = "\n\n".join(filter(None, [file_blocks(scene), *known, noted]))
    return instructions(scene, "investigator", POLICY.tools_in(scene)), first_message(scene, films)


POLICY = Policy(
    name="investigator",
    role="vlm",
    opening=_opening,
    form=COUNTED_TURNS,
    indexed=(search_captions,),
    tools=(look, listen, watch, ask_vlm, answer),
    rules=(look_before_answer, not_what_still_stands, not_twice_in_a_row),
    review=critic.review,
    limits=Limits(frames=60, listen_s=300, watch_s=60),
    turns=turns_by_length,
    index="used",
)
