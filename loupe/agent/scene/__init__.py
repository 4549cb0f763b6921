"""What a question's turns and tools work with: films, frames, sound, search, models, and the record of every call.

A desk holds what all questions of a process share, and a scene is one question at it.
"""

from loupe.agent.scene.desk import Desk, transcript_id
from loupe.agent.scene.media import Frame, Heard
from loupe.agent.scene.scene import ROUNDED_MS, Limits, Scene

__all__ = ["ROUNDED_MS", "Desk", "Frame", "Heard", "Limits", "Scene", "transcript_id"]
