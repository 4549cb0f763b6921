"""From a request to the prompt of a Hugging Face model: its chat template, with a place for every picture."""

import re
from dataclasses import dataclass
from typing import Any

from PIL import Image as Picture
from transformers import AutoTokenizer
from transformers.processing_utils import ProcessorMixin

from loupe.engines.protocol import ChatRequest, EngineError, RequestError
from loupe.media.pictures import decode_jpeg
from schemas.messages import Audio, Part, Text


@dataclass(frozen=True)
class Prompt:
    """A rendered conversation, up to where the model begins to write."""

    text: str
    pictures: list[Picture.Image]
    """In the order of their places in the text."""


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of a model."""

    tokenizer: Any
    text: str
    sees: bool
    """Whether the model takes pictures."""
    control_tokens: re.Pattern[str]
    """What the template writes and no message may."""

    def render(self, request: ChatRequest) -> Prompt:
        """The prompt of a request. Control tokens inside its messages (`<|im_end|>` on a sign in a film) are broken
        by a space, for they are text and end nothing.

        Raises RequestError for a picture that cannot be decoded or that the model cannot take; what the template
        itself raises passes.
        """
        pictures: list[Picture.Image] = []
        messages: list[dict[str, Any]] = []
        for message in request.messages:
            parts = [self._part(part, pictures) for part in message.parts()]
            content = parts if self.sees else "".join(part["text"] for part in parts)  # text models know no parts
            messages.append({"role": message.role, "content": content})
        thinking = {"enable_thinking": False} if "enable_thinking" in self.text else {}  # a schema leaves no room
        text = self.tokenizer.apply_chat_template(
            messages, chat_template=self.text, tokenize=False, add_generation_prompt=True, **thinking
        )
        return Prompt(text, pictures)

    def without_control(self, text: str) -> str:
        """The text with every control token in it broken by a space."""
        return self.control_tokens.sub(_broken, text)

    def _part(self, part: Part, pictures: list[Picture.Image]) -> dict[str, str]:
        if isinstance(part, Text):
            return {"type": "text", "text": self.without_control(part.text)}
        if isinstance(part, Audio):
            raise RequestError("the model does not hear, and the request has sound")
        if not self.sees:
            raise RequestError("the model takes text alone, and the request has a picture")
        try:
            pictures.append(Picture.fromarray(decode_jpeg(part.jpeg)))
        except (ValueError, OSError) as error:
            raise RequestError(f"a picture of the request cannot be decoded: {error}") from error
        return {"type": "image"}


def open_template(source: str, *, sees: bool, tokenizer: Any = None) -> ChatTemplate:
    """The chat template of a folder or hub id. Raises EngineError where there is none."""
    tokenizer = tokenizer or AutoTokenizer.from_pretrained(source)
    settings = ProcessorMixin.get_processor_dict(source)[0] if sees else {}
    text = settings.get("chat_template") or tokenizer.chat_template
    if not isinstance(text, str):
        raise EngineError(f"{source} has no chat template")
    return ChatTemplate(tokenizer, text, sees, _control_tokens(tokenizer, text))


def _control_tokens(tokenizer: Any, template: str) -> re.Pattern[str]:
    added = tokenizer.added_tokens_decoder.values()
    names = {token.content for token in added if token.special or token.content in template}
    longest_first = sorted((name for name in names if len(name.strip()) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _broken(found: re.Match[str]) -> str:
    return f"{found[0][0]} {found[0][1:]}"
