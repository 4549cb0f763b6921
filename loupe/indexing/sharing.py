"""Near-duplicate frames: which frames of a stretch can share one caption.

Two frames are the same picture if they nowhere differ much, however small the place is. A hash of the whole frame
would miss what a caption is about: a dropped key, one letter of a sign, a step to the side. Averages over small
squares keep such changes and even out what a codec leaves behind.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loupe.media.pictures import Picture

CELL = 2
WINDOW = 3 * CELL
"""Pixels of a square's side; the squares overlap, a new one begins every CELL pixels."""
SAME_BELOW = 15.0
"""Largest difference (0 to 255: absolute, mean over a square's pixels and channels) between frames of one picture.

Chosen on 528 films of two stretches each, a small change between them: drawn scenes, toytown and photographs, 256 x
192 to 512 x 288, as H.264 at CRF 23 to 32 and then as JPEG. Within a stretch (4,620 comparisons) the difference is 7.4
in the middle, at most 11.1 in nine of ten, 14.2 in 99 of 100 and 15.2 at the worst, where a dark camera's noise was
added. Across the change (16,038) it is at least 16.7 for a letter of 10 px (E and F), 22 for letters from 12 px on, 36
for a ball 12 px wide that hardly stands out, and 48 for all others: a hat, a thing on the ground, a person 10 px
further. Squares of 4, 5, 7, 8, 10 and 12 px, signed differences, and luma alone kept the two less apart.
"""


def same_picture(a: Picture, b: Picture, same_below: float = SAME_BELOW) -> bool:
    """Whether two frames show the same: the largest change of any small square of pixels is below the threshold."""
    return a.shape == b.shape and largest_change(a, b) < same_below


def share(frames: Sequence[Picture], same_below: float = SAME_BELOW) -> list[int | None]:
    """For each frame the position of the frame whose caption it shares; None where it needs one of its own.

    A frame is held against the last one that has its own, so that slow changes add up until they show.
    """
    sources: list[int | None] = []
    own = 0
    for position, frame in enumerate(frames):
        if position > 0 and same_picture(frames[own], frame, same_below):
            sources.append(own)
        else:
            sources.append(None)
            own = position
    return sources


def largest_change(a: Picture, b: Picture) -> float:
    """Mean absolute difference in the square of WINDOW x WINDOW pixels where it is largest. The sizes must agree."""
    difference = np.maximum(a, b) - np.minimum(a, b)
    pixels = difference[..., 0].astype(np.uint16)
    pixels += difference[..., 1]
    pixels += difference[..., 2]
    if min(pixels.shape) < WINDOW:
        return float(pixels.max(initial=0)) / 3
    squares = _sums(_cells(pixels))
    return float(squares.max()) / (3 * WINDOW * WINDOW)


def _cells(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Sums over squares of CELL x CELL pixels side by side; an odd last row or column is repeated."""
    height, width = pixels.shape
    if height % CELL or width % CELL:
        pixels = np.pad(pixels, ((0, height % CELL), (0, width % CELL)), mode="edge")
    rows = pixels[0::CELL] + pixels[1::CELL]
    cells: NDArray[np.uint16] = rows[:, 0::CELL] + rows[:, 1::CELL]
    return cells


def _sums(cells: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Sums over 3 x 3 cells; at most 255 x 3 x 36, which 16 bits hold."""
    rows = cells[:-2] + cells[1:-1] + cells[2:]
    sums: NDArray[np.uint16] = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    return sums
