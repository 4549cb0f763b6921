"""A frame's caption: the request for it, and what comes back."""

from loupe.engines.parsing import read_output
from loupe.engines.protocol import ChatRequest, Reply
from loupe.prompts import Prompt
from schemas.messages import Image, Message, Text
from schemas.outputs import FrameCaption


def caption_request(jpeg: bytes, prompt: Prompt, *, key: str | None = None, max_tokens: int = 256) -> ChatRequest:
    """Ask for the caption of one frame: the prompt first, so that its prefix is shared by all frames."""
    content = (Text(text=prompt.fill()), Image(jpeg=jpeg, key=key))
    return ChatRequest(
        messages=(Message(role="user", content=content),),
        schema=FrameCaption.json_schema(),
        max_tokens=max_tokens,
    )


def parse_caption(reply: Reply) -> FrameCaption:
    """The caption in a reply. Raises ParseError where it is not one."""
    return read_output(reply, FrameCaption, "a caption")
