"""Pictures and sounds that models are shown, and the references that stand for them in a trace."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image as Picture

from loupe.engines.speech import Spoken
from loupe.library import StoredFrame
from schemas.messages import Audio, Image, Message, Part, Text
from schemas.traces import MediaRef, ShownMessage, ShownPart, SoundRef

Source = Literal["table", "decode"]
Ref = MediaRef | SoundRef


@dataclass(frozen=True)
class Frame:
    """A frame of a film, to be shown."""

    media: MediaRef
    image: Image


@dataclass(frozen=True)
class Heard:
    """What was listened to."""

    sound: SoundRef
    lines: tuple[Spoken, ...]
    """What is said, in time of the film; none where the model hears for itself."""


def frame_of(video_id: str, one: StoredFrame, source: Source, lineage: str) -> Frame:
    """A frame as it is shown, and what it is called in a trace."""
    with Picture.open(io.BytesIO(one.jpeg), formats=["JPEG"]) as picture:
        width, height = picture.size
    media = MediaRef(
        video_id=video_id,
        ts_ms=one.ts_ms,
        pts_ms=one.pts_ms,
        width=width,
        height=height,
        source=source,
        lineage=lineage,
    )
    return Frame(media, Image(jpeg=one.jpeg, key=f"{video_id}@{one.ts_ms}/{lineage}"))


class ShownMedia:
    """The media of one question: messages hold them, traces only refer to them."""

    def __init__(self) -> None:
        self._media: dict[Ref, Image | Audio] = {}
        self._refs: dict[str | None, ShownPart] = {}
        """Of all that were shown, by the keys of pictures and sounds."""

    def keep(self, ref: Ref, part: Image | Audio) -> None:
        """Know a picture or a sound by its reference, and the reference by its key."""
        self._media[ref] = part
        self._refs[part.key] = ShownPart(media=ref) if isinstance(ref, MediaRef) else ShownPart(sound=ref)

    def seen(self, video_id: str) -> list[MediaRef]:
        """The pictures of a film that were shown, those that were forgotten too."""
        return [part.media for part in self._refs.values() if part.media and part.media.video_id == video_id]

    def by_reference(self, messages: Sequence[Message]) -> tuple[ShownMessage, ...]:
        """Messages with their media by reference."""

        def part(one: Part) -> ShownPart:
            return ShownPart(text=one.text) if isinstance(one, Text) else self._refs[one.key]

        return tuple(ShownMessage(role=message.role, parts=tuple(map(part, message.parts()))) for message in messages)

    def real(self, messages: Sequence[ShownMessage]) -> tuple[Message, ...]:
        """The same with their media, which were kept."""

        def part(one: ShownPart) -> Part:
            ref = one.media or one.sound
            return self._media[ref] if ref else Text(text=one.text or "")

        return tuple(Message(role=one.role, content=tuple(map(part, one.parts))) for one in messages)

    def forget_all_but(self, parts: Iterable[ShownPart]) -> None:
        """Let the media go that none of these parts refers to."""
        kept = {part.media or part.sound for part in parts}
        self._media = {ref: media for ref, media in self._media.items() if ref in kept}
