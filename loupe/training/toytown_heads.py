"""Dense attribute heads for toytown: what is in a still, asked of the vision tower's tokens one attribute at a time.

Two ways to ask: by rank ("the second person from the left") and by place ("the person at x"). The second needs no
counting, so it teaches the tower what things look like; the first teaches it to bring them into order.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from loupe.benchmarks.toytown.captions import visible
from loupe.benchmarks.toytown.world import ACTIONS, COLOURS, HATS, PLACES, SHAPES, SIGN_WORDS, THINGS, Still

PEOPLE, OBJECTS = 3, 5
"""How many people and things, from the left, have queries of their own."""
PERSON_KINDS = ("colour", "shape", "hat", "action", "held")
CLASSES = {
    "place": len(PLACES),
    "black": 2,
    "sign": 1 + len(SIGN_WORDS),
    "count": 1 + PEOPLE,
    "colour": len(COLOURS),
    "shape": len(SHAPES),
    "hat": len(HATS),
    "action": len(ACTIONS),
    "held": 1 + len(THINGS),
    "thing": 1 + len(THINGS),
}
KINDS = tuple(CLASSES)
BY_RANK = ("place", "black", "sign", "count", *(PERSON_KINDS * PEOPLE), *(("thing",) * OBJECTS))
BY_PLACE = (*(PERSON_KINDS * PEOPLE), *(("thing",) * OBJECTS))
IGNORED = -100


def labels(still: Still) -> tuple[np.ndarray, np.ndarray]:
    """Class of every rank query (int16), and x of the people and things that place queries ask about (NaN: none)."""
    wanted = np.full(len(BY_RANK), IGNORED, np.int16)
    xs = np.full(PEOPLE + OBJECTS, np.nan, np.float32)
    seen = visible(still)
    wanted[1] = seen is None
    if seen is None:
        return wanted, xs
    wanted[0] = PLACES.index(still.place)
    wanted[2] = 1 + SIGN_WORDS.index(still.sign) if still.sign else 0
    wanted[3] = min(len(seen.actors), PEOPLE)
    for i, (actor, held) in enumerate(zip(seen.actors[:PEOPLE], seen.held[:PEOPLE], strict=True)):
        wanted[4 + 5 * i : 9 + 5 * i] = (
            COLOURS.index(actor.person.colour),
            SHAPES.index(actor.person.shape),
            HATS.index(actor.person.hat),
            ACTIONS.index(actor.action),
            1 + THINGS.index(str(actor.thing)) if held else 0,
        )
        xs[i] = actor.x
    at = {laid.thing: laid.x for laid in still.laid} | {a.thing: a.thing_x for a in still.actors if a.thing}
    wanted[-OBJECTS:] = 0
    for i, thing in enumerate(seen.things[:OBJECTS]):
        wanted[i - OBJECTS] = 1 + THINGS.index(thing)
        xs[PEOPLE + i] = at[thing]
    return wanted, xs


class Heads(nn.Module):
    """Queries that read the tower's tokens by one cross-attention, and a classifier a kind of attribute."""

    def __init__(self, hidden: int, heads: int = 6, bins: int = 24) -> None:
        super().__init__()
        self.heads, self.bins = heads, bins
        self.rank = nn.Parameter(torch.randn(len(BY_RANK), hidden) * 0.02)
        self.kind = nn.Embedding(len(KINDS), hidden)
        self.x = nn.Embedding(bins + 1, hidden)
        nn.init.normal_(self.kind.weight, std=0.02)
        nn.init.normal_(self.x.weight, std=0.02)
        self.norm = nn.LayerNorm(hidden)
        self.to_q = nn.Linear(hidden, hidden)
        self.to_kv = nn.Linear(hidden, 2 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.mlp = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden)
        )
        self.classifiers = nn.ModuleDict({kind: nn.Linear(hidden, size) for kind, size in CLASSES.items()})
        by_place = torch.tensor([KINDS.index(kind) for kind in BY_PLACE])
        which = [i for i in range(PEOPLE) for _ in PERSON_KINDS] + list(range(PEOPLE, PEOPLE + OBJECTS))
        self.register_buffer("by_place", by_place, persistent=False)
        self.register_buffer("which", torch.tensor(which), persistent=False)

    def forward(self, tokens: Tensor, xs: Tensor) -> dict[str, Tensor]:
        """Tokens (B, n, hidden) and xs (B, people + things) -> logits (B, queries of the kind, classes) by kind."""
        batch, _, hidden = tokens.shape
        at = xs.nan_to_num(0.0).clamp(0, 1) * self.bins
        low = at.floor().clamp(max=self.bins - 1)
        part = (at - low)[..., None]
        x = self.x(low.long()) * (1 - part) + self.x(low.long() + 1) * part
        placed = x[:, self.which] + self.kind(self.by_place)
        queries = torch.cat([self.rank.expand(batch, -1, -1), placed], 1)
        q = self.to_q(queries).view(batch, queries.shape[1], self.heads, -1).transpose(1, 2)
        kv = self.to_kv(self.norm(tokens)).view(batch, tokens.shape[1], 2, self.heads, -1)
        k, v = kv.transpose(1, 3).unbind(2)
        read = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, -1, hidden)
        out = queries + self.out(read)
        out = out + self.mlp(out)
        names = (*BY_RANK, *BY_PLACE)
        return {
            kind: self.classifiers[kind](out[:, [i for i, name in enumerate(names) if name == kind]]) for kind in KINDS
        }


def targets(wanted: Tensor, xs: Tensor) -> dict[str, Tensor]:
    """Classes (B, queries of the kind) by kind, for the labels of a batch."""
    people = wanted[:, 4 : 4 + len(PERSON_KINDS) * PEOPLE]
    things = wanted[:, -OBJECTS:].masked_fill(xs[:, PEOPLE:].isnan(), IGNORED)
    every = torch.cat([wanted, people, things], 1)
    names = (*BY_RANK, *BY_PLACE)
    return {kind: every[:, [i for i, name in enumerate(names) if name == kind]] for kind in KINDS}


WEIGHTS = {"held": 1.5, "thing": 2.0}
"""Things are small and mostly not there: what is asked of them counts more."""


def heads_loss(logits: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    """Sum of the mean cross-entropies by kind, for the queries by rank and those by place each."""
    losses = []
    for kind in KINDS:
        ranked = BY_RANK.count(kind)
        for part in (slice(ranked), slice(ranked, None)):
            said, true = logits[kind][:, part], wanted[kind][:, part]
            if said.shape[1]:
                loss = functional.cross_entropy(said.flatten(0, 1), true.flatten(), ignore_index=IGNORED)
                losses.append(WEIGHTS.get(kind, 1.0) * loss)
    return torch.stack(losses).nan_to_num(0.0).sum()


def accuracies(logits: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, float]:
    """Share of right classes by kind: by rank, and for things also by place."""
    right = {}
    for kind in KINDS:
        ranked = BY_RANK.count(kind)
        parts = {kind: slice(ranked)} | ({"thing at x": slice(ranked, None)} if kind == "thing" else {})
        for name, part in parts.items():
            truth = wanted[kind][:, part]
            known = truth != IGNORED
            right[name] = float((logits[kind][:, part].argmax(-1) == truth)[known].float().mean())
    return right


def table(right: dict[str, float]) -> str:
    return " ".join(f"{kind} {value:.3f}" for kind, value in right.items())


def batch_labels(stills: Sequence[Still]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [labels(still) for still in stills]
    return np.stack([wanted for wanted, _ in pairs]), np.stack([xs for _, xs in pairs])
