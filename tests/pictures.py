"""Small pictures, as models are sent them."""

import io

import numpy as np
from PIL import Image as Picture

from schemas.messages import Image


def picture(seed: int, width: int = 48, height: int = 32) -> Image:
    """Blots of colour, other ones for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Picture.fromarray(pixels).resize((width, height)).save(file, "JPEG")
    return Image(jpeg=file.getvalue())


def one_colour(colour: str, width: int = 8, height: int = 6) -> bytes:
    """JPEG of a single colour, by its name."""
    file = io.BytesIO()
    Picture.new("RGB", (width, height), colour).save(file, "JPEG")
    return file.getvalue()
