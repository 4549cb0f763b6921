"""Times as prompts show them: in seconds."""


def moment(ms: int) -> str:
    """12.0"""
    return f"{ms / 1000:.1f}"


def stretch(start_ms: int, end_ms: int) -> str:
    """12.0-15.5; of what begins and ends at once, 12.0."""
    return moment(start_ms) if end_ms <= start_ms else f"{moment(start_ms)}-{moment(end_ms)}"
