"""Pictures: from a decoded frame to upright RGB with square pixels, and to JPEG and back."""

import io
from fractions import Fraction
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

try:
    import simplejpeg
except ImportError:  # no wheel for this machine
    simplejpeg = None

Picture = NDArray[np.uint8]
"""RGB of shape (height, width, 3)."""


def square_size(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Size with square pixels, from the stored size and the shape of a stored pixel; no side grows."""
    if not aspect or aspect <= 0:
        return width, height
    if aspect > 1:
        return width, max(1, round(height / aspect))
    return max(1, round(width * aspect)), height


def fit(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Size with the same proportions and no side longer than `long_side`."""
    scale = min(1.0, long_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def upright(picture: Picture, rotation: int) -> Picture:
    """Turn a picture counter-clockwise by `rotation` degrees, rounded to quarter turns."""
    return np.ascontiguousarray(np.rot90(picture, k=round(rotation / 90) % 4))


class FrameConverter:
    """Makes pictures of one film's frames; keeps its scaler from frame to frame."""

    def __init__(self, aspect: Fraction | None, long_side: int) -> None:
        self.aspect = aspect
        self.long_side = long_side
        self._scaler = VideoReformatter()

    def __call__(self, frame: Any) -> Picture:
        width, height = fit(*square_size(frame.width, frame.height, self.aspect), self.long_side)
        rgb = self._scaler.reformat(frame, width, height, format="rgb24", interpolation="AREA", threads=1)
        return upright(np.asarray(rgb.to_ndarray(), np.uint8), frame.rotation)


def encode_jpeg(picture: Picture, quality: int = 85) -> bytes:
    """JPEG (4:2:0) of an RGB picture."""
    if simplejpeg is not None:
        jpeg: bytes = simplejpeg.encode_jpeg(picture, quality=quality, colorspace="RGB", colorsubsampling="420")
        return jpeg
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def decode_jpeg(jpeg: bytes) -> Picture:
    """The RGB picture of a JPEG."""
    if simplejpeg is not None:
        picture: Picture = simplejpeg.decode_jpeg(jpeg, colorspace="RGB")
        return picture
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
