"""What people look like: one sprite a pose. All lengths are pixels of a 256 x 192 picture, y grows downwards.

A sprite's origin is the point on the ground between the feet. People are drawn facing right and mirrored.
"""

import math
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageOps

from loupe.benchmarks.toytown.things import INK, draw_thing
from loupe.benchmarks.toytown.world import HELD_AT, Person

WIDTH, HEIGHT = 128, 136
ORIGIN = (64, 116)
"""Where the ground between the feet is in a sprite."""
SCALE = 2
"""Sprites are drawn this much larger and reduced: smooth edges."""

COLOURS = {
    "red": (225, 35, 40), "orange": (250, 135, 20), "yellow": (252, 225, 40), "green": (35, 160, 60),
    "blue": (35, 85, 225), "purple": (140, 50, 175), "white": (250, 250, 250), "black": (42, 42, 46),
}  # fmt: skip
SKIN = (240, 196, 158)
HALO = (255, 250, 235)
"""A light line around everybody, so that black stands out on dark places."""
Point = tuple[float, float]


def lift(action: str, phase: float) -> float:
    """How far above the ground a person is."""
    return 12 + 14 * phase if action == "jumps" else 0.0


@lru_cache(maxsize=1024)
def sprite(person: Person, action: str, phase: float, facing: int, thing: str | None) -> Image.Image:
    """The picture (RGBA) of a person with what it holds."""
    image = Image.new("RGBA", (WIDTH * SCALE, HEIGHT * SCALE), (*HALO, 0))
    _Figure(ImageDraw.Draw(image), person).pose(action, phase, thing)
    shape = image.getchannel("A").reduce(SCALE)
    outline = shape
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        outline = ImageChops.lighter(outline, ImageChops.offset(shape, dx, dy))
    image = image.convert("RGB").reduce(SCALE)
    image.putalpha(outline)
    return image if facing == 1 else ImageOps.mirror(image)


class _Figure:
    """A person facing right, in units of the picture, around its origin."""

    def __init__(self, pen: ImageDraw.ImageDraw, person: Person) -> None:
        self.pen, self.person = pen, person
        self.fill = COLOURS[person.colour]

    def at(self, *points: Point) -> list[Point]:
        return [((ORIGIN[0] + x) * SCALE, (ORIGIN[1] + y) * SCALE) for x, y in points]

    def limb(self, *points: Point, colour: tuple[int, int, int] = INK) -> None:
        """An arm or a leg along points, drawn with a border."""
        for width, ink in ((8, INK), (4, colour)):
            self.pen.line(self.at(*points), fill=ink, width=width * SCALE, joint="curve")
            for x, y in (points[0], points[-1]):
                self.pen.ellipse(self.at((x - width / 2, y - width / 2), (x + width / 2, y + width / 2)), fill=ink)

    def leg(self, hip: Point, *points: Point) -> None:
        self.limb(hip, *points, colour=(95, 85, 90))
        x, y = points[-1]
        self.pen.ellipse(self.at((x - 4, y - 6), (x + 9, y + 1)), fill=INK)

    def arm(self, shoulder: Point, *points: Point) -> None:
        self.limb(shoulder, *points, colour=SKIN)
        x, y = points[-1]
        self.pen.ellipse(self.at((x - 5, y - 5), (x + 5, y + 5)), fill=SKIN, outline=INK, width=SCALE)

    def thing(self, name: str | None, x: float, y: float) -> None:
        if name:
            px, py = self.at((x, y))[0]
            draw_thing(self.pen, name, px, py, SCALE)

    def body(self, x: float, y: float) -> None:
        """The body's shape, 44 wide and 42 high, around a centre."""
        pen, line = self.pen, 3 * SCALE
        if self.person.shape == "round":
            pen.ellipse(self.at((x - 22, y - 21), (x + 22, y + 21)), fill=self.fill, outline=INK, width=line)
            return
        if self.person.shape == "square":
            pen.rectangle(self.at((x - 20, y - 20), (x + 20, y + 20)), fill=self.fill, outline=INK, width=line)
            return
        points = {
            "triangle": ((0, -24), (24, 20), (-24, 20)),
            "diamond": ((0, -25), (24, 0), (0, 25), (-24, 0)),
        }[self.person.shape]
        pen.polygon(self.at(*((x + dx, y + dy) for dx, dy in points)), fill=self.fill, outline=INK, width=line)

    def head(self, x: float, y: float) -> None:
        """The head, its nose and hat, around a centre."""
        pen = self.pen
        pen.polygon(self.at((x + 8, y - 5), (x + 21, y + 2), (x + 8, y + 5)), fill=SKIN, outline=INK, width=SCALE)
        pen.ellipse(self.at((x - 12, y - 12), (x + 12, y + 12)), fill=SKIN, outline=INK, width=2 * SCALE)
        pen.polygon(self.at((x + 8, y - 3), (x + 18, y + 2), (x + 8, y + 3)), fill=SKIN)
        pen.ellipse(self.at((x + 3, y - 6), (x + 7, y - 1)), fill=INK)
        self.hat(x, y - 9)

    def hat(self, x: float, y: float) -> None:
        """The hat, standing on a point."""
        pen, line = self.pen, 2 * SCALE
        if self.person.hat == "top hat":
            pen.rectangle(self.at((x - 9, y - 19), (x + 9, y)), fill=(60, 60, 75), outline=INK, width=line)
            pen.rectangle(self.at((x - 8, y - 8), (x + 8, y - 4)), fill=(215, 40, 60))
            pen.rectangle(self.at((x - 16, y - 3), (x + 16, y + 2)), fill=(60, 60, 75), outline=INK, width=line)
        elif self.person.hat == "cap":
            pen.pieslice(
                self.at((x - 13, y - 11), (x + 13, y + 13)), 180, 360, fill=(20, 165, 165), outline=INK, width=line
            )
            pen.rectangle(self.at((x + 4, y - 3), (x + 25, y + 3)), fill=(20, 165, 165), outline=INK, width=line)
        elif self.person.hat == "crown":
            points = ((-13, 3), (-15, -15), (-7, -7), (0, -18), (7, -7), (15, -15), (13, 3))
            pen.polygon(self.at(*((x + dx, y + dy) for dx, dy in points)), fill=(255, 205, 20), outline=INK, width=line)
        elif self.person.hat == "party hat":
            pen.polygon(
                self.at((x - 12, y + 2), (x, y - 22), (x + 12, y + 2)), fill=(255, 90, 190), outline=INK, width=line
            )
            pen.line(self.at((x - 7, y - 6), (x + 8, y - 4)), fill=(255, 255, 255), width=line)
            pen.ellipse(self.at((x - 5, y - 26), (x + 5, y - 16)), fill=(255, 255, 255), outline=INK, width=SCALE)

    def pose(self, action: str, phase: float, thing: str | None) -> None:
        """Everything of a person who does something, from back to front."""
        swing = math.sin(phase * math.pi)
        if action == "sits":
            self.arm((-14, -30), (-24, -16), (-20, -4))
            self.body(-4, -27)
            self.leg((0, -10), (22, -12), (34, -3))
            self.leg((-6, -6), (16, -6), (28, -2))
            self.head(-4, -56)
            self._hold(thing, (8, -34), (32, -32))
            return
        if action == "picks up":
            self.leg((-10, -18), (-16, 0))
            self.leg((2, -18), (4, 0))
            self.arm((-6, -42), (-22, -34))
            self.body(-6, -36)
            self.head(19, -56)
            self.thing(thing, HELD_AT[action], -15)
            self.arm((14, -40), (24, -34), (32, -20 - 4 * phase))
            return
        if action in ("walks", "enters", "leaves"):
            step = 13 + 7 * swing if action == "walks" else 22
            self.leg((-4, -20), (-step, 0))
            self.leg((4, -20), (step, 0))
        elif action == "jumps":
            self.leg((-8, -20), (-18, -12), (-20, 0))
            self.leg((8, -20), (18, -12), (18, 0))
        else:
            self.leg((-8, -20), (-8, 0))
            self.leg((8, -20), (8, 0))
        trailing = {
            "waves": ((-26, -62), (-30 + 6 * swing, -86)),
            "jumps": ((-28, -58), (-34, -76)),
            "walks": ((-25, -40), (-20 - 8 * swing, -28)),
        }.get(action, ((-26, -38), (-25, -26)))
        if action == "leaves" and thing:
            trailing = ((-26, -42), (-32, -36))
        self.arm((-15, -48), *trailing)
        self.body(0, -40)
        self.head(0, -71)
        self._front(action, phase, thing)

    def _front(self, action: str, phase: float, thing: str | None) -> None:
        """The arm in front and what it holds."""
        if action == "drops":
            self.thing(thing, HELD_AT[action], -32 + 14 * phase)
            self.arm((15, -50), (28, -62), (38, -60))
        elif action == "hands over":
            self.thing(thing, HELD_AT[action], -52)
            self.arm((14, -44), (26, -34), (40, -34))
        elif action == "leaves":
            self.thing(thing, HELD_AT[action], -42)
            self.arm((15, -48), (28, -46), (36, -54))
        elif action == "enters" and not thing:
            self.arm((15, -48), (28, -46), (36, -54))
        elif action == "jumps" and not thing:
            self.arm((15, -50), (28, -58), (34, -76))
        else:
            self._hold(thing, (15, -48), (32, -42))
            if not thing:
                self.arm((15, -48), (26, -38), (25, -26))

    def _hold(self, thing: str | None, shoulder: Point, centre: Point) -> None:
        """An arm bent to a thing, the hand in front of it; nothing if there is no thing."""
        if thing:
            self.thing(thing, *centre)
            self.arm(shoulder, (centre[0] - 8, centre[1] + 14), (centre[0] - 2, centre[1] + 8))
