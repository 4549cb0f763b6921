"""A Hugging Face checkpoint, opened: any image-text-to-text or text-only model that the Auto classes know."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from PIL import Image as Picture
from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.processing_utils import ProcessorMixin

from loupe.engines.protocol import ChatRequest, EngineError
from loupe.media.pictures import decode_jpeg
from schemas.messages import Part, Text


@dataclass(frozen=True)
class Checkpoint:
    """A model with what makes its inputs and reads its outputs."""

    model: Any
    tokenizer: Any
    processor: Any | None
    """None for a model that takes text alone."""
    template: str
    control_tokens: re.Pattern[str]
    """What the chat template writes and no message may."""
    stop_ids: tuple[int, ...]
    vocabulary: int
    """Tokens that can be written: those of the tokenizer; the model's logits are often padded beyond them."""
    context: int
    """Tokens of a prompt and its reply together, at most."""

    def encode(self, requests: Sequence[ChatRequest]) -> dict[str, Any]:
        """The model's inputs for a batch, padded on the left.

        Control tokens inside the messages (`<|im_end|>` on a sign in a film) are broken by a space, for they are
        text and end nothing. Raises EngineError for a picture that cannot be decoded or has no model to go to; anything that the
        chat template or the processor raises passes.
        """
        chats = [self._chat(request) for request in requests]
        settings: dict[str, Any] = {
            "add_generation_prompt": True,
            "tokenize": True,
            "return_dict": True,
            "return_tensors": "pt",
        }
        if "enable_thinking" in self.template:
            settings["enable_thinking"] = False  # a schema leaves no room for thoughts
        if self.processor is None:
            inputs = self.tokenizer.apply_chat_template(chats, padding=True, **settings)
        else:
            padding = {"padding": True, "add_special_tokens": False}
            inputs = self.processor.apply_chat_template(chats, processor_kwargs=padding, **settings)
        return {name: value.to(self.model.device) for name, value in inputs.items() if name != "token_type_ids"}

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a reply, without control tokens."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _chat(self, request: ChatRequest) -> list[dict[str, Any]]:
        """Messages as chat templates want them: parts for a processor, plain text for a bare tokenizer."""
        if self.processor is None:
            return [{"role": m.role, "content": "".join(map(self._text_only, m.parts()))} for m in request.messages]
        return [{"role": m.role, "content": [self._part(part) for part in m.parts()]} for m in request.messages]

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"type": "text", "text": self._harmless(part.text)}
        try:
            return {"type": "image", "image": Picture.fromarray(decode_jpeg(part.jpeg))}
        except (ValueError, OSError) as error:
            raise EngineError(f"a picture of the request cannot be decoded: {error}") from error

    def _text_only(self, part: Part) -> str:
        if not isinstance(part, Text):
            raise EngineError("the model takes text alone, and the request has a picture")
        return self._harmless(part.text)

    def _harmless(self, text: str) -> str:
        return self.control_tokens.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def load(source: str, *, device: str = "auto", dtype: str = "auto") -> Checkpoint:
    """Open a folder or hub id.

    `device` auto is a GPU where there is one. `dtype` auto is the checkpoint's own on a GPU and float32 on a CPU,
    where bfloat16 without its own instructions is a hundred times slower.
    """
    transformers.logging.disable_progress_bar()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto" and device == "cpu":
        dtype = "float32"
    config = AutoConfig.from_pretrained(source)
    sees = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    auto = transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM
    model = auto.from_pretrained(source, dtype=dtype).to(device).eval()
    processor = _load_processor(source, config) if sees else None
    tokenizer = processor.tokenizer if processor else AutoTokenizer.from_pretrained(source)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    template = (processor and processor.chat_template) or tokenizer.chat_template or ""
    text_config = config.get_text_config()
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        processor=processor,
        template=template,
        control_tokens=_control_tokens(tokenizer, template),
        stop_ids=_stop_ids(model, tokenizer),
        vocabulary=min(len(tokenizer), model.get_output_embeddings().weight.shape[0]),
        context=min(tokenizer.model_max_length, getattr(text_config, "max_position_embeddings", 1 << 30)),
    )


def _load_processor(source: str, config: Any) -> Any:
    try:
        return AutoProcessor.from_pretrained(source)
    except ImportError:  # of torchvision: for films, of which this engine is never given any
        kind = PROCESSOR_MAPPING[type(config)]
        if "video_processor" not in kind.get_attributes():
            raise
        return _load_without_films(kind, source)


def _load_without_films(kind: type[ProcessorMixin], source: str) -> Any:
    """The processor of this kind without its part for films, which nothing but torchvision can load."""

    class PicturesOnly(kind):  # type: ignore[misc, valid-type]
        apply_chat_template = ProcessorMixin.apply_chat_template  # some override it to ask the part that is not there

        def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
            return None if argument is None else super().check_argument_for_proper_class(name, argument)

    loaders = {"tokenizer": AutoTokenizer, "image_processor": AutoImageProcessor}
    parts = [loaders[name].from_pretrained(source) if name in loaders else None for name in kind.get_attributes()]
    settings, _ = kind.get_processor_dict(source)
    tokenizer = parts[kind.get_attributes().index("tokenizer")]
    return PicturesOnly.from_args_and_dict(parts, {"chat_template": tokenizer.chat_template, **settings})


def _control_tokens(tokenizer: Any, template: str) -> re.Pattern[str]:
    added = tokenizer.added_tokens_decoder.values()
    names = {token.content for token in added if token.special or token.content in template}
    longest_first = sorted((name for name in names if len(name.strip()) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _stop_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    own = model.generation_config.eos_token_id
    ids = set(own if isinstance(own, list) else [own]) | {tokenizer.eos_token_id}
    return tuple(sorted(ids - {None}))
