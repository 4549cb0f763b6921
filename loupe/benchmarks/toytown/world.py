"""What exists in toytown: the vocabulary, and a still picture as data. Imports nothing but the standard library.

What the caption of a still says is decided here as well, so that the renderer, the films' truth, the questions
and the model's training all mean the same thing:

- A frame darker than `BLACK_BELOW` of full light (a fade) is captioned as black and as nothing else.
- Actors stand in the order of the tuple, the last in front. A person of whom more than half is hidden behind
  another's body, or off the picture, is not captioned; the same holds for a held thing. What lies on the ground lies
  in front of everybody.
- People are named from left to right, and so are things, each thing once.
- Weather and light are distractors: no caption names them.

`captions.visible` is these rules as code.
"""

from dataclasses import dataclass
from typing import Literal

Action = Literal["stands", "walks", "sits", "waves", "jumps", "enters", "leaves", "picks up", "drops", "hands over"]
Facing = Literal[-1, 1]
"""Left or right."""

PLACES = (
    "harbour", "kitchen", "park", "library", "station", "beach", "market", "forest", "office", "street",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
SHAPES = ("round", "square", "triangle", "diamond")
HATS = ("no hat", "top hat", "cap", "crown", "party hat")
THINGS = ("ball", "book", "key", "umbrella", "lantern", "balloon", "flag", "cake", "bucket", "kite")
ACTIONS: tuple[Action, ...] = (
    "stands", "walks", "sits", "waves", "jumps", "enters", "leaves", "picks up", "drops", "hands over",
)  # fmt: skip
"""What a person can be doing; each has a pose that shows in a single still."""
WEATHERS = ("clear", "rain", "snow", "fog", "dusk", "night")
SIGN_WORDS = (
    "BAKER", "BAKERY", "BANK", "TANK", "BARN", "BURN", "BOOK", "COOK", "BOAT", "GOAT", "COAT", "CAFE",
    "CAGE", "CANDY", "SANDY", "CLOCK", "CLOAK", "BLOCK", "DOCK", "DUCK", "DINER", "LINER", "EXIT", "EDIT",
    "FARM", "FIRM", "FISH", "DISH", "GATE", "GAME", "GOLD", "COLD", "HOTEL", "MOTEL", "HOUSE", "MOUSE",
    "INN", "ICE", "KIOSK", "LAMP", "CAMP", "MARKET", "METAL", "MEDAL", "MILK", "SILK", "MUSIC", "NORTH",
    "SOUTH", "OPEN", "OVEN", "PALACE", "PLACE", "PIZZA", "PORT", "SPORT", "RADIO", "RIVER", "SALE", "SALT",
    "STAR", "TAXI", "TOOLS", "ZOO",
)  # fmt: skip
"""Names of shops and brands, at most six letters; neighbours in the list are easy to confuse."""

BLACK_BELOW = 0.35

PERSON_WIDTH = 44 / 256
"""Width of a body, as a share of the picture's."""
THING_WIDTH = 32 / 256
EDGE = 0.15
"""Nearer than this to the left or right edge people enter and leave, and do nothing else."""
HAND_OVER_GAP = 0.3
"""How far apart two people stand who hand something over."""

HELD_AT = {"leaves": -32, "picks up": 36, "drops": 34, "hands over": 38}
"""Where a thing is, in pixels of a 256 px wide picture ahead of who has it; 32 for every other action."""


@dataclass(frozen=True)
class Person:
    """Someone: a colour, a body shape and a hat. No two people of a film share a colour."""

    colour: str
    shape: str
    hat: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape} person with {self.hat}"


@dataclass(frozen=True)
class Actor:
    """A person in a still: where, turned which way, doing what.

    `x` is the body's centre as a share of the picture's width; `phase` in [0, 1] is how far the action has come
    (the height of a jump, the swing of a step); `thing` is what the action or the hand holds. Two actors who hand
    something over stand side by side, face each other, and the giver alone has the action and the thing.
    """

    person: Person
    x: float
    facing: Facing = 1
    action: Action = "stands"
    phase: float = 0.5
    thing: str | None = None

    @property
    def thing_x(self) -> float:
        """Where the centre of the thing is that the actor has: in front, but behind one who leaves the picture."""
        return self.x + self.facing * HELD_AT.get(self.action, 32) / 256


@dataclass(frozen=True)
class Laid:
    """A thing lying on the ground; `x` as for an actor."""

    thing: str
    x: float


@dataclass(frozen=True)
class Still:
    """One picture of toytown. `fade` is the light that is left, from 1 (all) to 0 (black)."""

    place: str
    actors: tuple[Actor, ...] = ()
    laid: tuple[Laid, ...] = ()
    sign: str | None = None
    sign_x: float = 0.5
    weather: str = "clear"
    fade: float = 1.0
    variant: int = 0
    """Seed of the place's furniture and textures: the same within a scene."""
    noise: int = 0
    """Seed of what moves by itself (rain, snow): changes from frame to frame."""
