"""Text that came out of films (captions, subtitles, signs, summaries) on its way into a prompt.

It stands between markers such as <film> and </film>, which the prompts write themselves. No text of a film can forge
one, because it holds no angle brackets when it arrives; nor can it write a model's control tokens (<|im_end|>).
"""

LOOKALIKES = str.maketrans("<>", "‹›")


def as_data(text: str) -> str:
    """The text on one line, without anything that a marker is made of."""
    return " ".join(text.translate(LOOKALIKES).split())


def cut(text: str, letters: int) -> str:
    """The text, at most so many letters of it."""
    return text if len(text) <= letters else text[: max(0, letters - 1)].rstrip() + "…"


def cut_inside(text: str, letters: int) -> str:
    """The text, at most so many letters of it: as much of its beginning as of its end."""
    if len(text) <= letters:
        return text
    half = (letters - 3) // 2
    return f"{text[:half].rstrip()} … {text[-half:].lstrip()}"
