"""Reads frames with decord, as a process of its own: decord hangs now and then, and only a process can be ended.

Run as a script. Standard input: JSON {path, threads, width, height, pts_ms}. Standard output: one RGB picture of
height x width x 3 bytes for each time. A time that decord does not know ends it with status 3.
"""

import json
import os
import sys

TOLERANCE_MS = 2
"""decord gives times as 32-bit seconds: half a millisecond apart after two hours."""
UNKNOWN_TIME = 3


def main() -> None:
    """Answer one request."""
    import decord
    import numpy as np

    decord.logging.set_level(decord.logging.QUIET)
    request = json.load(sys.stdin)
    reader = decord.VideoReader(
        request["path"], num_threads=request["threads"], width=request["width"], height=request["height"]
    )
    times = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64) * 1000
    times -= times[0]
    for pts_ms in request["pts_ms"]:
        index = int(np.abs(times - pts_ms).argmin())
        if abs(times[index] - pts_ms) > TOLERANCE_MS:
            os._exit(UNKNOWN_TIME)
        sys.stdout.buffer.write(reader[index].asnumpy().tobytes())
    sys.stdout.buffer.flush()
    os._exit(0)  # decord's own way out may hang


if __name__ == "__main__":
    main()
