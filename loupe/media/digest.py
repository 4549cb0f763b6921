"""The fingerprint of a stretch of film, taken without decoding it."""

from hashlib import blake2b

from loupe.media.film import open_film, time_of
from loupe.media.opening import Source

RUN_UP_MS = 2_000
"""Reading begins this much earlier: a parser that starts in the middle may cut its first packets otherwise."""


def packets_digest(source: Source, start_ms: int, end_ms: int) -> str:
    """Hash of the encoded pictures shown in [start, end): codec, rotation, and each packet with its time.

    Times count from the first frame, so that it does not matter what follows in the file, where the container keeps
    its index, or at which time stamp it begins. Raises MediaError.
    """
    with open_film(source) as film:
        digest = blake2b(digest_size=16)
        digest.update(f"{film.stream.codec_context.codec.canonical_name} {film.first.rotation}\n".encode())
        for packet in film.packets_from(max(0, start_ms - RUN_UP_MS)):
            if packet.dts is not None and film.ms(packet.dts) >= end_ms:
                break  # packets come in the order of their decoding times, which are never after those of showing
            pts_ms = film.ms(time_of(packet))
            if start_ms <= pts_ms < end_ms:
                digest.update(f"{pts_ms} {packet.size}\n".encode())
                digest.update(memoryview(packet))
        return digest.hexdigest()
