"""What a request's pictures count for."""

import io

from PIL import Image as Picture
from PIL import UnidentifiedImageError

from loupe.engines.protocol import ChatRequest, RequestError
from schemas.messages import Image, Usage


def picture_usage(request: ChatRequest) -> Usage:
    """The pictures of a request and their pixels, by their headers. Raises RequestError for what is not a JPEG."""
    images = [part for message in request.messages for part in message.parts() if isinstance(part, Image)]
    return Usage(images=len(images), pixels=sum(map(_pixels, images)))


def _pixels(image: Image) -> int:
    try:
        with Picture.open(io.BytesIO(image.jpeg), formats=["JPEG"]) as picture:
            return picture.width * picture.height
    except (UnidentifiedImageError, Picture.DecompressionBombError) as error:
        raise RequestError(f"a picture of the request is not a usable JPEG: {error}") from error
