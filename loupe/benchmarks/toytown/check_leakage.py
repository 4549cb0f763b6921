"""Shows that no question can be answered from its wording, and how much can be answered at best.

`python -m loupe.benchmarks.toytown.check_leakage` draws films (as data; none is rendered), trains a small classifier on
questions and options alone, and prints how many others it answers, beside the ceilings: who reads the truth, and who
reads a true caption a second, with and without what is spoken.
"""

import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import tyro

from loupe.benchmarks.toytown.oracles import accuracy, answer, caption_facts, truth_facts
from loupe.benchmarks.toytown.questions import questions_about
from loupe.benchmarks.toytown.speech import words
from loupe.benchmarks.toytown.world import SIGN_WORDS
from loupe.benchmarks.toytown.writing import write_film
from schemas.questions import LETTERS, UNANSWERABLE, Question

BUCKETS = 2**16
"""Features are hashed into so many weights."""
CEILING_FILMS = 60
LEAK_BOUND = 0.30


@dataclass(frozen=True)
class Settings:
    """What is drawn: films of some minutes, and of their questions so many to train and to test on."""

    train: int = 5000
    test: int = 2000
    minutes: float = 5
    questions_per_film: int = 24
    seed: int = 777


def questions_of(settings: Settings, count: int, first_film: int) -> list[Question]:
    """So many questions, from films of their own."""
    drawn: list[Question] = []
    for film in _questions_by_film(settings, first_film):
        drawn += film
        if len(drawn) >= count:
            break
    return drawn[:count]


def _questions_by_film(settings: Settings, first: int) -> Iterator[list[Question]]:
    index = first
    while True:
        yield questions_about(write_film(settings.seed, index, settings.minutes), index, settings.questions_per_film)
        index += 1


def candidates(question: Question) -> list[str]:
    """What could be answered: letters, numbers or sign words, or that the film does not say."""
    possible: dict[str, Sequence[str]] = {
        "choice": LETTERS[: len(question.options)],
        "number": [str(number) for number in range(21)],
        "text": SIGN_WORDS,
        "spans": [],
    }
    return [*possible[question.answer_type], UNANSWERABLE]


def features(question: Question, candidate: str) -> npt.NDArray[np.int64]:
    """Hashed features of a question with one candidate: words, letters in threes, and each word with each other."""
    text = candidate
    if question.answer_type == "choice" and candidate != UNANSWERABLE:
        text = f"{question.options[LETTERS.index(candidate)]} {candidate.lower()}__"
    asked = [*words(question.question), *(f"{a} {b}" for a, b in pairwise(words(question.question)))]
    others = sorted({word for option in question.options for word in words(option)})
    own = [text, *text.split(), *(text[i : i + 3] for i in range(len(text) - 2))]
    # dict.fromkeys keeps an order that does not change from run to run
    asked = list(dict.fromkeys(asked))
    names = [f"own {name}" for name in own]
    names += [f"{word} | {name}" for word in asked for name in own[:4]]
    names += [f"{word} & {name}" for word in others for name in own[:2]]
    return np.array([zlib.crc32(name.encode()) % BUCKETS for name in names], np.int64)


@dataclass(frozen=True)
class Prepared:
    """A question's features, those of one candidate after those of the other."""

    features: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    """How many of them each candidate has."""
    starts: npt.NDArray[np.int64]
    """Where those of each candidate begin."""


def prepare(question: Question) -> Prepared:
    """All that can be answered to a question, as features."""
    rows = [features(question, candidate) for candidate in candidates(question)]
    counts = np.array([len(row) for row in rows])
    return Prepared(np.concatenate(rows), counts, np.cumsum(counts) - counts)


class Guesser:
    """A logistic regression over candidates: the weights of each one's features added, then a softmax."""

    def __init__(self) -> None:
        self.weights = np.zeros(BUCKETS)

    def fit(self, questions: Sequence[Question], *, epochs: int = 8, rate: float = 0.05, seed: int = 0) -> None:
        """AdaGrad over the questions, one at a time."""
        rng = np.random.default_rng(seed)
        prepared = [prepare(question) for question in questions]
        rights = [candidates(question).index(question.answer or UNANSWERABLE) for question in questions]
        squares = np.full(BUCKETS, 1e-2)
        for _ in range(epochs):
            for index in rng.permutation(len(prepared)):
                one = prepared[index]
                scores = self._scores(one)
                chance = np.exp(scores - scores.max())
                chance /= chance.sum()
                chance[rights[index]] -= 1
                steps = np.repeat(chance / one.counts, one.counts)
                np.add.at(squares, one.features, steps * steps)
                np.add.at(self.weights, one.features, -rate * steps / np.sqrt(squares[one.features]))

    def guess(self, question: Question) -> str:
        """The likeliest candidate."""
        return candidates(question)[int(np.argmax(self._scores(prepare(question))))]

    def _scores(self, one: Prepared) -> npt.NDArray[np.float64]:
        """Ten times the mean weight of each candidate's features."""
        scores: npt.NDArray[np.float64] = 10 * np.add.reduceat(self.weights[one.features], one.starts) / one.counts
        return scores


def leakage(settings: Settings) -> dict[str, float]:
    """The share of unseen questions that a classifier guesses from their words, by answer type and of all.

    Spans are left out of the training, and of `all`: there is nothing to guess but that there is no answer.
    """
    train = [q for q in questions_of(settings, settings.train, 0) if q.answer_type != "spans"]
    test = [q for q in questions_of(settings, settings.test, 1_000_000) if q.answer_type != "spans"]
    guesser = Guesser()
    guesser.fit(train)
    right: dict[str, list[bool]] = {"all": []}
    for question in test:
        mark = guesser.guess(question) == question.answer
        right["all"].append(mark)
        right.setdefault(question.answer_type, []).append(mark)
    return {name: sum(marks) / len(marks) for name, marks in right.items()}


def ceilings(settings: Settings, films: int) -> dict[str, dict[str, float]]:
    """Accuracy by capability of who reads the truth, and of who reads captions."""
    answered: dict[str, list[tuple[str, Question]]] = {}
    for index in range(films):
        film = write_film(settings.seed, 2_000_000 + index, settings.minutes)
        readers = {
            "truth": truth_facts(film),
            "captions and lines": caption_facts(film, lines=True),
            "captions": caption_facts(film, lines=False),
        }
        for question in questions_about(film, 2_000_000 + index, settings.questions_per_film):
            for reader, facts in readers.items():
                answered.setdefault(reader, []).append((answer(facts, question), question))
    return {reader: accuracy(marks) for reader, marks in answered.items()}


def main(settings: Settings) -> None:
    guessed = leakage(settings)
    lines = [f"guessed from the wording alone ({settings.train} to train, {settings.test} others):"]
    lines += [f"  {name:<28}{share:.3f}" for name, share in guessed.items()]
    for reader, shares in ceilings(settings, CEILING_FILMS).items():
        lines += [f"reading {reader} ({CEILING_FILMS} films):"]
        lines += [f"  {capability:<28}{share:.3f}" for capability, share in shares.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    if max(guessed["all"], guessed["choice"]) >= LEAK_BOUND:
        sys.exit(f"the wording gives answers away: {LEAK_BOUND:.0%} or more can be guessed")


if __name__ == "__main__":
    main(tyro.cli(Settings))
