"""What n questions cost with an index that was made once, and without one, in tokens (prompt and completion).

    with the index        index_tokens + n * question_tokens
    the whole film        n * film_tokens,    film_tokens = frames of the film at `fps` * tokens a frame

`question_tokens` is the mean of the run, with all that its agents, critics and retries took. On the side of the whole
film the question's own text and the answer are left out, which favours it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

TOKENS_A_FRAME = 144
"""Of a picture of 512 x 288 px, at Qwen3-VL's 32 x 32 px a token."""
FPS = 1.0


@dataclass(frozen=True)
class Costs:
    """In tokens."""

    index_tokens: int
    question_tokens: float
    film_tokens: float
    """Of one question that is passed its whole film."""

    def indexed(self, questions: int) -> float:
        """So many questions with the index, which is made for them."""
        return self.index_tokens + questions * self.question_tokens

    def whole_film(self, questions: int) -> float:
        """So many questions that are each passed their whole film."""
        return questions * self.film_tokens

    @property
    def break_even(self) -> int | None:
        """The number of questions from which on the index is cheaper; None where it never is."""
        saved = self.film_tokens - self.question_tokens
        return math.floor(self.index_tokens / saved) + 1 if saved > 0 else None


def film_tokens(film_ms: Sequence[int], fps: float = FPS, tokens_a_frame: float = TOKENS_A_FRAME) -> float:
    """Mean tokens of the frames of a question's film, by the length of each question's film in milliseconds."""
    return sum(math.ceil(length * fps / 1000) * tokens_a_frame for length in film_ms) / len(film_ms)
