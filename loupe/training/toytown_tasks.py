"""What the tiny VLM is taught to say of toytown: captions, answers about frames, summaries, as requests with targets.

The requests are built by the functions that build them in use, with the prompt set `tiny`. Pictures are named by
their place in `stills`; whoever trains puts the pictures in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loupe.asking import ask_request
from loupe.benchmarks.toytown.captions import WITH_THING, Seen, caption, visible
from loupe.benchmarks.toytown.stills import random_still
from loupe.benchmarks.toytown.world import COLOURS, PLACES, SIGN_WORDS, THINGS, Actor, Still
from loupe.captioning import caption_request
from loupe.prompts import load
from loupe.summarizing import chunk_summary_request, video_summary_request
from schemas.messages import Image, Message
from schemas.outputs import ChunkSummary, FrameAnswer, LogEntry, VideoSummary

NO_PICTURE = b""
FRAME = Image(jpeg=NO_PICTURE)
EVENTS = ("enters", "leaves", "picks up", "drops", "hands over", "jumps")
"""Actions that a summary tells; what people do all the time it leaves out."""
SPOKEN = (
    "Good morning.", "Look at the {thing}.", "Who has the {thing}?", "Welcome to the {place}.", "I am so tired.",
    "Have you been to {sign}?", "Let us go to the {place}.", "The {thing} is mine.", "See you later.",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A request's messages, what to say to them, and the stills whose pictures the request shows, in order."""

    messages: tuple[Message, ...]
    target: str
    stills: tuple[int, ...] = ()


def caption_task(still: Still, index: int) -> Task:
    return Task(_caption_messages(), caption(still).model_dump_json(), (index,))


def _caption_messages() -> tuple[Message, ...]:
    return caption_request(NO_PICTURE, load("tiny", "caption")).messages


CAPTION_MESSAGES = _caption_messages()
ASK, CHUNK, VIDEO = (load("tiny", name) for name in ("ask", "chunk_summary", "video_summary"))


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


Asked = tuple[str, str, str]
"""A question, its short reasoning, its answer."""


def _pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]


def _one(rng: np.random.Generator, shown: Sequence[Shown]) -> tuple[Shown, str]:
    """A frame to ask about, and the words that say which: none where it is the only one."""
    frame = shown[int(rng.integers(len(shown)))]
    return frame, "" if len(shown) == 1 else f" at {frame.stamp}"


def ask_place(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
    frame, when = _one(rng, shown)
    place = frame.still.place if frame.seen else "black"
    question = _pick(rng, ("Where is this{}?", "What place is shown{}?", "Which place is it{}?")).format(when)
    return question, f"[{frame.stamp}] {place}", place


def ask_who(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
    frame, when = _one(rng, shown)
    who = ", ".join(frame.people()) or "nobody"
    return _pick(rng, ("Who is seen{}?", "Who is in the picture{}?")).format(when), f"[{frame.stamp}] {who}", who


def ask_count(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
    frame, when = _one(rng, shown)
    who = frame.people()
    question = _pick(rng, ("How many people are seen{}?", "How many people are there{}?")).format(when)
    return question, f"[{frame.stamp}] {', '.join(who) or 'nobody'}", str(len(who))


def ask_sign(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
    frame, when = _one(rng, shown)
    sign = frame.still.sign if frame.seen and frame.still.sign else "no sign"
    question = _pick(rng, ("What does the sign say{}?", "Which word is on the sign{}?", "What is written{}?"))
    return question.format(when), f"[{frame.stamp}] {sign}", sign


def ask_things(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
    frame, when = _one(rng, shown)
    things = ", ".join(frame.seen.things if frame.seen else ()) or "nothing"
    return f"Which objects are seen{when}?", f"[{frame.stamp}] {things}", things


def ask_person(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
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


def ask_when(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
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


def ask_whether(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
    """Whether a thing or a person is seen in any frame."""
    names: list[str] = []
    for frame in shown:
        names += [*frame.people(), *(frame.seen.things if frame.seen else ())]
    name = (
        _pick(rng, names) if names and rng.random() < 0.5 else _pick(rng, (*THINGS, *(f"{c} person" for c in COLOURS)))
    )
    times = [f.stamp for f in shown if f.seen and (name in f.seen.things or name in f.people())]
    return f"Is a {name} seen?", f"at {', '.join(times[:4])}" if times else "at no time", "yes" if times else "no"


def ask_signs(rng: np.random.Generator, shown: Sequence[Shown]) -> Asked:
    """All sign words, in order of time."""
    found = [(f.stamp, f.still.sign) for f in shown if f.seen and f.still.sign]
    words = list(dict.fromkeys(sign for _, sign in found))
    reasoning = " ".join(f"[{stamp}] {sign}" for stamp, sign in found) or "no sign"
    return "Which signs are seen?", reasoning, ", ".join(words) or "no sign"


OF_ONE = (ask_place, ask_who, ask_count, ask_sign, ask_things, ask_person, ask_person, ask_person)
OF_MANY = (*OF_ONE, ask_when, ask_when, ask_when, ask_whether, ask_signs)


def ask_task(rng: np.random.Generator, stills: Sequence[Still], indexes: Sequence[int]) -> Task:
    """A question about the given stills, as frames at increasing times."""
    start = float(rng.integers(0, 600)) if rng.random() < 0.7 else float(rng.integers(0, 8000))
    gap = float(rng.choice((0.5, 1, 2, 5, 15, 60)))
    shown = [Shown(start + gap * i, still, visible(still)) for i, still in enumerate(stills)]
    asks = OF_ONE if len(shown) == 1 else OF_MANY
    question, reasoning, answer = asks[int(rng.integers(len(asks)))](rng, shown)
    messages = ask_request(question, [(frame.seconds, FRAME) for frame in shown], ASK).messages
    return Task(messages, FrameAnswer(reasoning=reasoning, answer=answer).model_dump_json(), tuple(indexes))


# --- summaries --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SceneTold:
    """What a summary keeps of a scene."""

    place: str
    sign: str | None
    people: dict[str, list[str]]
    """What each person does that is an event, in order."""


def scene_words(scene: SceneTold) -> str:
    """One sentence: In the kitchen with the sign BAKER: red person enters; blue person."""
    sign = f" with the sign {scene.sign}" if scene.sign else ""
    people = "; ".join(f"{who} {', '.join(acts)}" if acts else who for who, acts in scene.people.items())
    return f"{scene.place.capitalize()}{sign}: {people or 'nobody'}."


def random_scene(rng: np.random.Generator, frames: int, detail: int = 3) -> tuple[SceneTold, list[Still]]:
    """Some frames of a scene, and what a summary keeps of it: the first `detail` events of each person."""
    first = random_still(rng)
    cast = [actor.person for actor in first.actors]
    stills: list[Still] = []
    people: dict[str, list[str]] = {}
    for _ in range(frames):
        still = random_still(rng)
        kept = still.actors[: len(cast)]
        actors = tuple(replace(actor, person=who) for actor, who in zip(kept, cast, strict=False))
        still = replace(
            still, place=first.place, sign=first.sign, actors=actors, fade=1.0 if rng.random() < 0.97 else 0.0
        )
        stills.append(still)
        if (seen := visible(still)) is None:
            continue
        for actor, held in zip(seen.actors, seen.held, strict=True):
            acts = people.setdefault(person(actor), [])
            act = doing(actor, held)
            if actor.action in EVENTS and act not in acts and len(acts) < detail:
                acts.append(act)
    return SceneTold(first.place, first.sign, people), stills


def spoken(rng: np.random.Generator) -> str:
    words = {"thing": _pick(rng, THINGS), "place": _pick(rng, PLACES), "sign": _pick(rng, SIGN_WORDS)}
    return _pick(rng, SPOKEN).format(**words)


def chunk_task(rng: np.random.Generator, frames: int) -> Task:
    """A chunk's captions, as the index job gives them, and its summary."""
    scenes = int(rng.integers(1, min(4, frames) + 1))
    counts = np.diff([0, *sorted(rng.permutation(np.arange(1, frames))[: scenes - 1].tolist()), frames])
    told, lines, second = [], [], float(60 * rng.integers(0, 130 if rng.random() < 0.3 else 10))
    for count in counts:
        scene, stills = random_scene(rng, int(count))
        told.append(scene_words(scene))
        for still in stills:
            lines.append((second, caption(still).searchable_text()))
            second += float(rng.integers(1, 4))
    said = [(lines[0][0] + float(rng.integers(0, 50)), spoken(rng)) for _ in range(int(rng.integers(0, 3)))]
    messages = chunk_summary_request(lines, sorted(said), CHUNK).messages
    return Task(messages, ChunkSummary(summary=" ".join(told)).model_dump_json())


def video_task(rng: np.random.Generator, parts: int) -> Task:
    """Chunk summaries of a film, and its summary with the three logs."""
    at = 60.0 * float(rng.integers(0, 120)) if rng.random() < 0.4 else 0.0
    shown, scenes, events, characters = [], [], [], []
    for part in range(parts):
        start, end = at + 60.0 * part, at + 60.0 * (part + 1)
        told = [random_scene(rng, int(rng.integers(1, 5)), detail=2)[0] for _ in range(int(rng.integers(1, 4)))]
        shown.append((start, end, " ".join(scene_words(scene) for scene in told)))
        scenes.append(LogEntry(start=start, end=end, text=", ".join(dict.fromkeys(s.place for s in told))))
        acts = [f"{who} {act}" for scene in told for who, done in scene.people.items() for act in done[:1]]
        if acts:
            events.append(LogEntry(start=start, end=end, text=acts[0]))
        who = list(dict.fromkeys(name for scene in told for name in scene.people))
        if who:
            characters.append(LogEntry(start=start, end=end, text=", ".join(who)))
    places = list(dict.fromkeys(place for entry in scenes for place in entry.text.split(", ")))
    film = VideoSummary(summary=f"Places: {', '.join(places)}.", characters=characters, events=events, scenes=scenes)
    return Task(video_summary_request(shown, VIDEO).messages, film.model_dump_json())


def corpus(rng: np.random.Generator, count: int) -> list[str]:
    """Texts for the tokenizer: requests and targets of every kind."""
    texts: list[str] = []
    for _ in range(count):
        stills = [random_still(rng) for _ in range(3)]
        tasks = [
            *(caption_task(still, 0) for still in stills),
            *(ask_task(rng, stills[: 1 + i % 3], [0]) for i in range(6)),
        ]
        tasks += [chunk_task(rng, 3), video_task(rng, 2)]
        for task in tasks:
            texts.append(task.target)
            texts += [part.text for m in task.messages for part in m.parts() if not isinstance(part, Image)]
    return texts
