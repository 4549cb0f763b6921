"""What the tiny VLM is taught to say of toytown: captions, answers about frames, summaries, as requests with targets.

The requests are built by the functions that build them in use, with the prompt set `tiny`. Pictures are named by
their place in `stills`; whoever trains puts the pictures in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loupe.asking import ask_request
from loupe.benchmarks.toytown.captions import WITH_THING, Seen, caption, visible
from loupe.benchmarks.toytown.stills import random_still
from loupe.benchmarks.toytown.summaries import EVENTS, Part, chunk_summary, video_summary
from loupe.benchmarks.toytown.world import COLOURS, HATS, PLACES, SHAPES, SIGN_WORDS, THINGS, Actor, Still
from loupe.benchmarks.toytown.writing import write_film
from loupe.captioning import caption_request
from loupe.prompts import load
from loupe.summarizing import chunk_summary_request, video_summary_request
from loupe.training.toytown_wording import by_letter, compared, with_most, with_order
from schemas.messages import Image, Message, Text
from schemas.outputs import ChunkSummary, FrameAnswer, FrameCaption
from schemas.questions import LETTERS

NO_PICTURE = b""
FRAME = Image(jpeg=NO_PICTURE)


@dataclass(frozen=True)
class Task:
    """A request's messages, what to say to them, and the stills whose pictures the request shows, in order."""

    messages: tuple[Message, ...]
    target: str
    stills: tuple[int, ...] = ()
    later: tuple[tuple[str, str], ...] = ()
    """More turns: what is asked about the same pictures, and what to say to it."""
    foretell: bool = False
    """Whether the request is a lesson too: captions and summaries name the same things again and again."""
    stressed: tuple[tuple[int, int], ...] = ()
    """First and last letter + 1 of parts of the target that count STRESS times as much as the others."""


CAPTION = caption_request(NO_PICTURE, load("tiny", "caption")).messages
ASK, CHUNK, VIDEO = (load("tiny", name) for name in ("ask", "chunk_summary", "video_summary"))


def caption_task(still: Still, index: int) -> Task:
    return Task(CAPTION, caption(still).model_dump_json(), (index,))


# --- questions about frames -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A frame of a question: when it is, and what can be seen in it (None: it is black)."""

    seconds: float
    still: Still
    seen: Seen | None

    @property
    def stamp(self) -> str:
        return f"{self.seconds:.1f}"

    def people(self) -> list[str]:
        return [person(actor) for actor in self.seen.actors] if self.seen else []

    def find(self, colour: str) -> tuple[Actor, bool] | None:
        pairs = zip(self.seen.actors, self.seen.held, strict=True) if self.seen else ()
        return next(((actor, held) for actor, held in pairs if actor.person.colour == colour), None)


def person(actor: Actor) -> str:
    return f"{actor.person.colour} person"


def doing(actor: Actor, held: bool) -> str:
    return f"{actor.action} {actor.thing}" if held and actor.action in WITH_THING else actor.action


Exchange = tuple[str, str, str]
"""A question, its short reasoning, its answer."""


def _pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]


def _one(rng: np.random.Generator, shown: Sequence[Shown]) -> tuple[Shown, str]:
    """A frame to ask about, and the words that say which: none where it is the only one."""
    frame = shown[int(rng.integers(len(shown)))]
    return frame, "" if len(shown) == 1 else f" at {frame.stamp}"


def ask_place(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    frame, when = _one(rng, shown)
    place = frame.still.place if frame.seen else "black"
    question = _pick(rng, ("Where is this{}?", "What place is shown{}?", "Which place is it{}?")).format(when)
    return question, f"[{frame.stamp}] {place}", place


def ask_who(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    frame, when = _one(rng, shown)
    who = ", ".join(frame.people()) or "nobody"
    return _pick(rng, ("Who is seen{}?", "Who is in the picture{}?")).format(when), f"[{frame.stamp}] {who}", who


def ask_count(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    frame, when = _one(rng, shown)
    who = frame.people()
    question = _pick(rng, ("How many people are seen{}?", "How many people are there{}?")).format(when)
    return question, f"[{frame.stamp}] {', '.join(who) or 'nobody'}", str(len(who))


def ask_sign(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    frame, when = _one(rng, shown)
    sign = frame.still.sign if frame.seen and frame.still.sign else "no sign"
    question = _pick(rng, ("What does the sign say{}?", "Which word is on the sign{}?", "What is written{}?"))
    return question.format(when), f"[{frame.stamp}] {sign}", sign


def ask_things(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    frame, when = _one(rng, shown)
    things = ", ".join(frame.seen.things if frame.seen else ()) or "nothing"
    return f"Which objects are seen{when}?", f"[{frame.stamp}] {things}", things


def ask_person(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    """Something about one person: what they do, hold, wear, or their shape."""
    frame, when = _one(rng, shown)
    colours = [actor.person.colour for actor in frame.seen.actors] if frame.seen else []
    colour = _pick(rng, colours) if colours and rng.random() < 0.9 else _pick(rng, COLOURS)
    who = f"{colour} person"
    found = frame.find(colour)
    asked = int(rng.integers(4))
    question = (
        f"What is the {who} doing{when}?",
        f"What does the {who} hold{when}?",
        f"What does the {who} wear{when}?",
        f"What shape is the {who}{when}?",
    )[asked]
    if found is None:
        return question, f"[{frame.stamp}] no {who}", "not shown"
    actor, held = found
    answer = (doing(actor, held), str(actor.thing) if held else "nothing", actor.person.hat, actor.person.shape)[asked]
    return question, f"[{frame.stamp}] {actor.person}", answer


def ask_when(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    """The time of the first frame in which something holds."""
    frame = shown[int(rng.integers(len(shown)))]
    tests: list[tuple[str, Callable[[Shown], bool]]] = []
    if frame.seen and frame.seen.actors:
        actor = frame.seen.actors[int(rng.integers(len(frame.seen.actors)))]
        colour, action = actor.person.colour, actor.action
        tests.append((f"the {colour} person is seen", lambda f: f.find(colour) is not None))
        tests.append(
            (f"the {colour} person {action}", lambda f: (p := f.find(colour)) is not None and p[0].action == action)
        )
    if frame.seen and frame.still.sign:
        sign = frame.still.sign
        tests.append((f"the sign {sign} is seen", lambda f: f.seen is not None and f.still.sign == sign))
    if frame.seen and frame.seen.things:
        thing = _pick(rng, frame.seen.things)
        tests.append((f"the {thing} is seen", lambda f: f.seen is not None and thing in f.seen.things))
    place, other = frame.still.place, _pick(rng, SIGN_WORDS)
    tests.append((f"the {place} is seen", lambda f: f.seen is not None and f.still.place == place))
    tests.append((f"the sign {other} is seen", lambda f: f.seen is not None and f.still.sign == other))
    what, holds = tests[int(rng.integers(len(tests)))]
    times = [f.stamp for f in shown if holds(f)]
    return (
        f"When is it that {what}?",
        f"at {', '.join(times[:4])}" if times else "at no time",
        times[0] if times else "never",
    )


def ask_whether(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    """Whether a thing or a person is seen in any frame."""
    names: list[str] = []
    for frame in shown:
        names += [*frame.people(), *(frame.seen.things if frame.seen else ())]
    name = (
        _pick(rng, names) if names and rng.random() < 0.5 else _pick(rng, (*THINGS, *(f"{c} person" for c in COLOURS)))
    )
    times = [f.stamp for f in shown if f.seen and (name in f.seen.things or name in f.people())]
    return f"Is a {name} seen?", f"at {', '.join(times[:4])}" if times else "at no time", "yes" if times else "no"


def ask_signs(rng: np.random.Generator, shown: Sequence[Shown]) -> Exchange:
    """All sign words, in order of time."""
    found = [(f.stamp, f.still.sign) for f in shown if f.seen and f.still.sign]
    words = list(dict.fromkeys(sign for _, sign in found))
    reasoning = " ".join(f"[{stamp}] {sign}" for stamp, sign in found) or "no sign"
    return "Which signs are seen?", reasoning, ", ".join(words) or "no sign"


OF_ONE = (ask_place, ask_who, ask_count, ask_sign, ask_things, ask_person, ask_person, ask_person)
OF_MANY = (*OF_ONE, ask_when, ask_when, ask_when, ask_whether, ask_signs)


def ask_task(rng: np.random.Generator, stills: Sequence[Still], indexes: Sequence[int], questions: int = 1) -> Task:
    """Questions about the given stills, as frames at increasing times."""
    start = float(rng.integers(0, 600)) if rng.random() < 0.7 else float(rng.integers(0, 8000))
    gap = float(rng.choice((0.5, 1, 2, 5, 15, 60)))
    shown = [Shown(start + gap * i, still, visible(still)) for i, still in enumerate(stills)]
    asks = OF_ONE if len(shown) == 1 else OF_MANY
    turns: list[tuple[str, str]] = []
    for _ in range(questions):
        question, reasoning, answer = asks[int(rng.integers(len(asks)))](rng, shown)
        turns.append((question, FrameAnswer(reasoning=reasoning, answer=answer).model_dump_json()))
    (first, target), *later = turns
    messages = ask_request(first, [(frame.seconds, FRAME) for frame in shown], ASK).messages
    return Task(messages, target, tuple(indexes), tuple((ASK.fill(question=text), said) for text, said in later))


# --- summaries --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """A film's true captions, one a second, and its spoken lines as (seconds, text)."""

    captions: tuple[FrameCaption, ...]
    lines: tuple[tuple[float, str], ...]

    @classmethod
    def drawn(cls, seed: int, minutes: float) -> "Watched":
        """A film that the seed gives."""
        film = write_film(seed, 0, minutes)
        captions = tuple(caption(film.still(second)) for second in range(film.duration_ms // 1000))
        return cls(captions, tuple((line.start_ms / 1000, line.text) for line in film.lines))

    def chunk(self, start: int, end: int) -> ChunkSummary:
        """The true summary between two seconds."""
        return chunk_summary(self.captions[start:end])


def chunk_task(rng: np.random.Generator, film: Watched, seconds: int) -> Task:
    """A chunk's captions and spoken lines, as the index job gives them, and its summary."""
    start = int(rng.integers(len(film.captions) - seconds + 1))
    end = start + seconds
    # as if the film had begun earlier: late chunks have large time stamps
    before = 60 * int(rng.integers(0, 130 if rng.random() < 0.3 else 6))
    captions = [(float(before + second), film.captions[second]) for second in range(start, end)]
    lines = [(before + second, text) for second, text in film.lines if start <= second < end]
    messages = chunk_summary_request(captions, lines, CHUNK).messages
    return Task(messages, film.chunk(start, end).model_dump_json(), foretell=True)


def video_task(rng: np.random.Generator, film: Watched, parts: int, seconds: int) -> Task:
    """Summaries of a film's chunks of so many seconds, and its summary with the three logs.

    Sometimes the parts are such summaries themselves, as on the higher levels of a long film.
    """
    begin = int(rng.integers(len(film.captions) - parts * seconds + 1))
    at = 60.0 * float(rng.integers(0, 120)) if rng.random() < 0.4 else 0.0
    shown: list[Part] = []
    for part in range(parts):
        summary = film.chunk(begin + part * seconds, begin + (part + 1) * seconds).summary
        shown.append((at + 60.0 * part, at + 60.0 * (part + 1), summary))
    if rng.random() < 0.15:
        shown = [(start, end, video_summary([(start, end, text)]).summary) for start, end, text in shown]
    return Task(video_summary_request(shown, VIDEO).messages, video_summary(shown).model_dump_json(), foretell=True)


# --- exercises --------------------------------------------------------------------------------------------------------

WORDS = (*COLOURS, *SHAPES, *HATS, *PLACES, *THINGS, *SIGN_WORDS, *EVENTS, "person", "nobody", "sits", "stands")


def copy_task(rng: np.random.Generator, words: int) -> Task:
    """Words at random, to be said again."""
    text = " ".join(_pick(rng, WORDS) for _ in range(words))
    return Task((Message(role="user", content=text),), text)


def find_task(rng: np.random.Generator, lines: int, questions: int = 8) -> Task:
    """Lines of words with times, and questions about single times: as questions about frames, without frames."""
    start, gap = float(rng.integers(0, 8000)), float(rng.choice((0.5, 1, 2, 5, 15, 60)))
    told = [(f"{start + gap * i:.1f}", _pick(rng, WORDS)) for i in range(lines)]
    turns = []
    for _ in range(questions):
        stamp, word = told[int(rng.integers(lines))]
        said = FrameAnswer(reasoning=f"[{stamp}] {word}", answer=word).model_dump_json()
        turns.append((ASK.fill(question=f"Which word is at {stamp}?"), said))
    (first, target), *later = turns
    shown = "".join(f"[{stamp}]{word}" for stamp, word in told)
    return Task((Message(role="user", content=shown + first),), target, later=tuple(later))


def compare_task(rng: np.random.Generator) -> Task:
    """Numbers of names, one after the other: each time the most so far, or all of them in order.

    Said as the agents' notes say it: which of two numbers is larger is learned from many pairs.
    """
    names = [str(name) for name in rng.choice(WORDS, 4, replace=False)]
    kind = ("most", "order", "all")[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]
    digits = {"most": 2.9, "order": 3.4, "all": 1.4}[kind]
    numbers: list[int] = rng.integers(0, int(10 ** rng.uniform(0.7, digits)), len(names)).tolist()
    met: dict[str, int] = {}
    turns: list[tuple[str, str]] = []
    for (noted, name, _), number in zip(by_letter(names), numbers, strict=True):
        met[name] = number
        if kind == "most":
            most = max(met.items(), key=lambda each: each[1])
            turns.append((f"{number} hits.", with_most(noted, number, most)))
        elif kind == "order":
            turns.append((f"[{number:.1f}] {name}", with_order(f"{noted} {number:.1f}", met.items())))
    if kind == "all":
        turns = [(" ".join(f"{name} {number}" for name, number in met.items()), compared(met))]
    (shown, target), *later = turns
    options = "\n".join(f"{letter}. {name}" for letter, name in zip(LETTERS, names, strict=False))
    return Task((Message(role="user", content=f"{options}\n{shown}"),), target, later=tuple(later))


def corpus(rng: np.random.Generator, count: int) -> list[str]:
    """Texts for the tokenizer: requests and targets of every kind."""
    texts: list[str] = []
    film = Watched.drawn(0, 2)
    for _ in range(count):
        stills = [random_still(rng) for _ in range(3)]
        tasks = [
            *(caption_task(still, 0) for still in stills),
            *(ask_task(rng, stills[: 1 + i % 3], [0]) for i in range(6)),
        ]
        tasks += [chunk_task(rng, film, 3), video_task(rng, film, 2, 10)]
        for task in tasks:
            texts.append(task.target)
            texts += [part.text for m in task.messages for part in m.parts() if isinstance(part, Text)]
    return texts
