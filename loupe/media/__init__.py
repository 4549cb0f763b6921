"""Films: the only decoder code. What the rest of loupe uses stands in these modules:

opening.py (MediaError, Source), probing.py, sampling.py, digest.py, pictures.py (JPEG), text_tracks.py.
"""

from loupe.media.opening import MediaError, Source
from loupe.media.sampling import Sampled, SampleReport, sample_frames

__all__ = ["MediaError", "SampleReport", "Sampled", "Source", "sample_frames"]
