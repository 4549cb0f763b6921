"""Chat messages, as every engine gets them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Text(BaseModel):
    """A piece of text in a message."""

    model_config = ConfigDict(frozen=True)

    type: Literal["text"] = "text"
    text: str


class Image(BaseModel):
    """One picture in a message: JPEG bytes, never an address to fetch."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    type: Literal["image"] = "image"
    jpeg: bytes
    key: str | None = None
    """Stable name of the picture (video, time, lineage), so that an engine can cache its encoding."""


class Audio(BaseModel):
    """A stretch of sound in a message: a WAV file, 16 kHz mono, for models that hear."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    type: Literal["audio"] = "audio"
    wav: bytes
    key: str | None = None
    """Stable name of the sound (video, times, lineage)."""


Part = Text | Image | Audio


class Message(BaseModel):
    """One turn of a chat. A plain string stands for a single text part."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str | tuple[Part, ...]

    def parts(self) -> tuple[Part, ...]:
        """The content as parts, whichever way it was given."""
        return (Text(text=self.content),) if isinstance(self.content, str) else self.content


class Usage(BaseModel):
    """Tokens and pictures that one reply cost."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int = 0
    completion_tokens: int = 0
    images: int = 0
    pixels: int = 0
    """Pixels of all pictures as they were sent; engines may resize further."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            images=self.images + other.images,
            pixels=self.pixels + other.pixels,
        )
