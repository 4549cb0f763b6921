"""The training loop, on a model small enough to learn a few sentences by heart within seconds."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from loupe.training import sft, tiny_vlm
from loupe.training.checkpoints import linear_decay, one_cycle
from loupe.training.muon import MuonAndAdam, hidden_and_others, orthogonal
from schemas.messages import Image, Message, Text
from tests.pictures import one_colour

WORDS = ["the cat sat on the mat", '{"caption":"A cat.","objects":["mat"]}', "user\nassistant\nWhat is this?"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small a model loses by more, and the more the busier the machine is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with its tokenizer, saved as the one that ships is."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = tiny_vlm.train_tokenizer(WORDS * 20, 320)
    tiny_vlm.save(tiny_vlm.untrained(tokenizer), tokenizer, path)
    return path


@pytest.fixture(scope="module")
def processor(folder: Path) -> sft.Processor:
    return sft.Processor.load(folder)


def small_model(processor: sft.Processor) -> Qwen3VLForConditionalGeneration:
    """One layer of each kind, always with the same weights."""
    config = tiny_vlm.tiny_config(processor.tokenizer).to_dict()
    config["vision_config"] |= {"depth": 1, "hidden_size": 32, "num_heads": 2, "intermediate_size": 32}
    config["vision_config"] |= {"out_hidden_size": 32, "deepstack_visual_indexes": [0]}
    config["text_config"] |= {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64}
    torch.manual_seed(0)
    return Qwen3VLForConditionalGeneration(Qwen3VLConfig.from_dict(config))


def asked(colour: str) -> tuple[Message, ...]:
    shown = Image(jpeg=one_colour(colour, 64, 48))
    return (Message(role="user", content=(Text(text="What is this?"), shown)),)


EXAMPLES = [
    sft.Example(asked("black"), "the mat"),
    sft.Example(asked("white"), "the cat sat"),
    sft.Example((Message(role="user", content="What is this?"),), "a"),
]


def batches(processor: sft.Processor, step: int, *, split: bool = False) -> Iterator[Sequence[sft.Batch]]:
    """The same three examples at every step, in an order that depends on it; as one batch, or as three."""
    while True:
        encoded = [sft.encode(EXAMPLES[(step + i) % 3], processor) for i in range(3)]
        yield [sft.collate([one], 0) for one in encoded] if split else [sft.collate(encoded, 0)]
        step += 1


def test_only_the_target_and_the_end_of_the_turn_carry_a_loss(processor: sft.Processor) -> None:
    one = sft.encode(EXAMPLES[0], processor)
    carried = one["labels"][one["labels"] != sft.IGNORED]
    assert processor.tokenizer.decode(carried) == "the mat<|im_end|>"
    assert torch.equal(one["input_ids"][-len(carried) :], carried)


def test_a_picture_has_as_many_tokens_as_the_model_makes_of_it(processor: sft.Processor) -> None:
    one = sft.encode(EXAMPLES[0], processor)
    assert int(one["mm_token_type_ids"].sum()) == 48
    assert one["pixel_values"].shape == (192, 3 * 2 * 8 * 8)


def test_padding_carries_no_loss_and_is_not_attended(processor: sft.Processor) -> None:
    model = small_model(processor)
    encoded = [sft.encode(example, processor) for example in EXAMPLES]
    with torch.no_grad():
        alone = [sft.model_loss(model, sft.collate([one], 0)) for one in encoded]
        together, tokens = sft.model_loss(model, sft.collate(encoded, 0))
    assert tokens == sum(count for _, count in alone)
    assert float(together) == pytest.approx(sum(float(loss) for loss, _ in alone), rel=1e-4)


def test_expand_needs_a_count_for_every_picture() -> None:
    assert sft.expand("a<|image_pad|>b", [3]) == "a" + "<|image_pad|>" * 3 + "b"
    with pytest.raises(ValueError, match="1 image tokens in the prompt for 2 pictures"):
        sft.expand("a<|image_pad|>b", [1, 2])


def test_it_learns_to_tell_two_pictures_apart(processor: sft.Processor, tmp_path: Path) -> None:
    model = small_model(processor)
    optimizer = MuonAndAdam(*hidden_and_others(model, "layers."), lr=1e-2)
    settings = sft.Settings(lr=1e-2, steps=100)
    assert sft.train(model, lambda step: batches(processor, step), settings, optimizer=optimizer) < 0.05


def test_a_training_that_was_killed_goes_on_where_it_was(processor: sft.Processor, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def killed_after(steps: int) -> Iterator[Sequence[sft.Batch]]:
        for _, batch in zip(range(steps), batches(processor, 0), strict=False):
            yield batch
        raise Killed

    settings = sft.Settings(lr=3e-3, steps=12, save_seconds=0)
    whole, half = small_model(processor), small_model(processor)
    sft.train(whole, lambda step: batches(processor, step), settings)
    with pytest.raises(Killed):
        sft.train(half, lambda _: killed_after(5), settings, checkpoint=tmp_path / "at.pt")
    again = small_model(processor)
    asked_from = []

    def from_step(step: int) -> Iterator[Sequence[sft.Batch]]:
        asked_from.append(step)
        return batches(processor, step)

    sft.train(again, from_step, settings, checkpoint=tmp_path / "at.pt")
    assert asked_from == [5]
    for (name, one), other in zip(whole.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_accumulated_batches_make_the_same_step_as_one(processor: sft.Processor) -> None:
    settings = sft.Settings(lr=1e-3, clip=1e9)
    steps = []
    for split in (False, True):
        model = small_model(processor)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        loss = sft.step(model, optimizer, next(batches(processor, 0, split=split)), settings)
        steps.append((loss, torch.cat([p.detach().flatten() for p in model.parameters()])))
    assert steps[0][0] == pytest.approx(steps[1][0], rel=1e-4)
    assert torch.allclose(steps[0][1], steps[1][1], atol=1e-5)


def test_what_is_frozen_stays_as_it_is(processor: sft.Processor) -> None:
    model = small_model(processor)
    sft.freeze(model, ["model.visual"])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    sft.train(model, lambda step: batches(processor, step), sft.Settings(lr=1e-2, steps=2))
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert not any(name.startswith("model.visual") for name in moved)


def test_it_ends_when_its_minutes_are_over(processor: sft.Processor) -> None:
    steps: list[int] = []
    settings = replace(sft.Settings(steps=1000, log_steps=1), minutes=1e-4)
    sft.train(
        small_model(processor), lambda step: batches(processor, step), settings, report=lambda s, *_: steps.append(s)
    )
    assert steps == [1]


@pytest.mark.parametrize("schedule", [one_cycle, linear_decay])
def test_schedules_rise_to_the_full_rate_and_fall(schedule: object) -> None:
    rates = [schedule(i / 100) for i in range(101)]  # type: ignore[operator]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[0] < 0.01
    assert rates[-1] <= 0.02


@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_orthogonal_evens_out_the_singular_values(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3
