"""Films: the only decoder code, a file a reason. The names here are what the rest of loupe calls."""

from loupe.media.digest import packets_digest
from loupe.media.opening import MediaError, Source
from loupe.media.pictures import decode_jpeg, encode_jpeg
from loupe.media.probing import SubtitleTrack, VideoInfo, probe
from loupe.media.sampling import Sampled, SampleReport, sample_frames
from loupe.media.sound import SoundReport, cut_audio, sound_digest
from loupe.media.text_tracks import embedded_subtitles
from loupe.sound import Sound

__all__ = [
    "MediaError",
    "SampleReport",
    "Sampled",
    "Sound",
    "SoundReport",
    "Source",
    "SubtitleTrack",
    "VideoInfo",
    "cut_audio",
    "decode_jpeg",
    "embedded_subtitles",
    "encode_jpeg",
    "packets_digest",
    "probe",
    "sample_frames",
    "sound_digest",
]
