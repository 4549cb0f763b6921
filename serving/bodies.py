"""What clients send: the bodies of the OpenAI API, as far as this server answers them.

Unknown parameters are refused, not passed over. Known ones that a model here cannot follow (several choices, top_p,
penalties) may only be sent with the value that changes nothing. What says nothing about the answer (user, metadata,
store ...) is accepted and not read; `seed` is best effort in the API itself, and temperature 0 needs none.
"""

from typing import Annotated, Any, Literal

from loupe.engines.openai import LIKELIEST
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Body(BaseModel):
    """A part of a request. A null stands for a parameter that was not sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        return {name: v for name, v in values.items() if v is not None} if isinstance(values, dict) else values


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a surrogate pair at character {error.start} is no text") from error
    return text


String = Annotated[str, AfterValidator(_encodable)]
"""Text that can be written as UTF-8: JSON can hold what cannot."""


class TextPart(Body):
    """Text in a message."""

    type: Literal["text"]
    text: String


class ImageURL(Body):
    """A picture as a data URL. `detail` is not read: pictures are taken as they are."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(Body):
    """A picture in a message."""

    type: Literal["image_url"]
    image_url: ImageURL


class InputAudio(Body):
    """A sound as base64. Only the format wav is answered."""

    data: str
    format: str


class AudioPart(Body):
    """A sound in a message, for a model that hears."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class ChatMessage(Body):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: String | list[Annotated[TextPart | ImagePart | AudioPart, Field(discriminator="type")]]
    name: str | None = None


class NamedSchema(Body):
    """A JSON schema; replies always keep to it strictly."""

    name: str
    json_schema: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool = True


class TextFormat(Body):
    """Free text."""

    type: Literal["text"]


class ObjectFormat(Body):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Body):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class StreamOptions(Body):
    """What a stream holds beside the reply."""

    include_usage: bool = False
    include_obfuscation: bool = False
    """Not read: nothing is obfuscated."""


class ChatBody(Body):
    """POST /v1/chat/completions. Without a temperature replies are greedy; without max_tokens they have up to 512."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0, ge=0, le=2, allow_inf_nan=False)
    response_format: Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")] | None = None
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=LIKELIEST)
    """With logprobs, so many of the likeliest tokens in the place of each."""
    return_token_ids: bool = False
    """As vLLM has it: with logprobs, the ids of the written tokens stand beside them."""
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()

    n: int = Field(default=1, ge=1, le=1)
    top_p: float = Field(default=1, ge=1, le=1)
    frequency_penalty: float = Field(default=0, ge=0, le=0)
    presence_penalty: float = Field(default=0, ge=0, le=0)

    seed: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None


class EmbeddingBody(Body):
    """POST /v1/embeddings. A search's text comes with the prefix that its model wants for one."""

    model: str
    input: String | list[String] = Field(min_length=1, max_length=2048)
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        """The input, one text or many."""
        return [self.input] if isinstance(self.input, str) else self.input
