"""A Hugging Face checkpoint, opened: any image-text-to-text or text-only model that the Auto classes know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.processing_utils import ProcessorMixin

from loupe.engines.protocol import ChatRequest
from loupe.engines.templating import ChatTemplate, open_template


@dataclass(frozen=True)
class Checkpoint:
    """A model with what makes its inputs and reads its outputs."""

    model: Any
    tokenizer: Any
    processor: Any | None
    """None for a model that takes text alone."""
    template: ChatTemplate
    stop_ids: tuple[int, ...]
    vocabulary: int
    """Tokens that can be written: those of the tokenizer; the model's logits are often padded beyond them."""
    context: int
    """Tokens of a prompt and its reply together, at most."""

    def encode(self, requests: Sequence[ChatRequest]) -> dict[str, Any]:
        """The model's inputs for a batch, padded on the left. Raises what the template and the processor raise."""
        prompts = [self.template.render(request) for request in requests]
        texts = [prompt.text for prompt in prompts]
        settings = {"padding": True, "return_tensors": "pt", "add_special_tokens": False}
        if self.processor is None:
            inputs = self.tokenizer(texts, **settings)
        else:
            pictures = [prompt.pictures for prompt in prompts]
            inputs = self.processor(text=texts, images=pictures if any(pictures) else None, **settings)
        return {name: self._placed(value) for name, value in inputs.items() if name != "token_type_ids"}

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor where the model is; pixels in its precision."""
        return tensor.to(self.model.device, self.model.dtype if tensor.is_floating_point() else tensor.dtype)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a reply, without control tokens."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


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
    text_config = config.get_text_config()
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        processor=processor,
        template=open_template(source, sees=sees, tokenizer=tokenizer),
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

    class PicturesOnly(kind):
        def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
            return None if argument is None else super().check_argument_for_proper_class(name, argument)

    loaders = {"tokenizer": AutoTokenizer, "image_processor": AutoImageProcessor}
    parts = [loaders[name].from_pretrained(source) if name in loaders else None for name in kind.get_attributes()]
    return PicturesOnly.from_args_and_dict(parts, kind.get_processor_dict(source)[0])


def _stop_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    own = model.generation_config.eos_token_id
    ids = set(own if isinstance(own, list) else [own]) | {tokenizer.eos_token_id}
    return tuple(sorted(ids - {None}))
