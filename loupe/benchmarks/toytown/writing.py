"""How a film is drawn from a seed: its cast, scenes, signs and lines."""

from collections import Counter

import numpy as np

from loupe.benchmarks.toytown.dialogue import write_lines
from loupe.benchmarks.toytown.screenplay import STEP_MS, Film, Scene, Sign
from loupe.benchmarks.toytown.speech import BRANDS
from loupe.benchmarks.toytown.staging import SLOTS, Stage, Standing, play_next
from loupe.benchmarks.toytown.stills import random_people
from loupe.benchmarks.toytown.world import PLACES, SIGN_WORDS, THINGS, WEATHERS, Laid, Person

TOYTOWN_VERSION = 1
"""Raised whenever the same seed gives another film. Part of every film's name, as all is that a film depends on."""
HELD_OUT = 10_000_000
"""Films of seeds from here on are never trained on."""
SCENE_MS = (10_000, 60_000)
LEAD_MS = 1000
"""Nothing happens so close to a scene's beginning or end; fades are shorter."""


def write_film(seed: int, index: int, minutes: float) -> Film:
    """Draw the film `index` of a set. Same arguments, same film."""
    if minutes < 0.5:
        raise ValueError(f"a film of {minutes} minutes: the shortest is half a minute")
    rng = np.random.default_rng((seed, index, round(minutes * 60)))
    cast = random_people(rng, int(rng.integers(5, 9)))
    words = _words(rng)
    counts: Counter[str] = Counter()
    scenes: list[Scene] = []
    outline = _outline(rng, round(minutes * 60_000 / STEP_MS) * STEP_MS)
    for start, end, place in outline:
        share = len(words["seen"]) / (len(outline) - len(scenes))
        sign = _sign(rng, start, end, words["seen"], min(0.75, share))
        scenes.append(_scene(rng, start, end, place, sign, cast, counts))
    return Film(
        name=f"toytown{TOYTOWN_VERSION}-{minutes:g}m-{seed}-{index:03d}",
        seed=seed,
        scenes=tuple(scenes),
        lines=write_lines(rng, scenes, cast, words["spoken"]),
        subtitles=index % 2 == 0,
    )


def _words(rng: np.random.Generator) -> dict[str, list[str]]:
    """The film's words: those on signs, and those spoken as brands; some are both and some are neither."""
    words = [str(word) for word in rng.permutation(SIGN_WORDS)]
    seen, unseen = words[:32], words[32:]
    spoken = [word for word in seen if word in BRANDS][:14] + [word for word in unseen if word in BRANDS][:14]
    return {"seen": seen, "spoken": [str(word) for word in rng.permutation(spoken)]}


def _outline(rng: np.random.Generator, total_ms: int) -> list[tuple[int, int, str]]:
    """Scenes as (start, end, place): every place comes before one comes again, and none twice in a row.

    From four minutes on there are at least eight scenes, and so eight places.
    """
    outline = _attempt(rng, total_ms)
    while len(outline) < min(8, total_ms // 30_000):
        outline = _attempt(rng, total_ms)
    return outline


def _attempt(rng: np.random.Generator, total_ms: int) -> list[tuple[int, int, str]]:
    outline: list[tuple[int, int, str]] = []
    places: list[str] = []
    start = 0
    while start < total_ms:
        # short scenes are likelier than long ones; the mean is near 30 s
        length = round(SCENE_MS[0] + (SCENE_MS[1] - SCENE_MS[0]) * float(rng.beta(1.2, 1.9)))
        end = start + length // STEP_MS * STEP_MS
        if total_ms - end < SCENE_MS[0]:
            end = total_ms if total_ms - start <= SCENE_MS[1] else total_ms - SCENE_MS[0]
        if not places:
            places = [str(place) for place in rng.permutation(PLACES)]
            if outline and places[-1] == outline[-1][2]:
                places.reverse()
        outline.append((start, end, places.pop()))
        start = end
    return outline


def _scene(
    rng: np.random.Generator,
    start: int,
    end: int,
    place: str,
    sign: Sign | None,
    cast: list[Person],
    counts: Counter[str],
) -> Scene:
    """Draw one scene."""
    fade_in, fade_out, black = (int(ms) for ms in rng.choice(((0, 0, 0), (0, 0, 0), (500, 500, 500), (500, 500, 0))))
    fade_in = 0 if start == 0 else fade_in
    stage = _play(rng, start, end, cast, counts)
    return Scene(
        start_ms=start,
        end_ms=end,
        place=place,
        weather=str(rng.choice(WEATHERS[1:])) if rng.random() < 0.5 else "clear",
        variant=int(rng.integers(2**31)),
        fade_in_ms=fade_in,
        fade_out_ms=fade_out,
        black_ms=black,
        sign=sign,
        beats=tuple(stage.beats),
        events=tuple(stage.events),
    )


def _sign(rng: np.random.Generator, start: int, end: int, words: list[str], chance: float) -> Sign | None:
    """Now and then a sign with a word that the film has not shown, over the whole scene or from some time on."""
    if not words or rng.random() > chance:
        return None
    late = int(rng.integers(0, (end - start) // 2 // STEP_MS)) * STEP_MS if rng.random() < 0.4 else 0
    return Sign(start + late, end, words.pop(), round(float(rng.uniform(0.1, 0.9)), 3))


def _play(rng: np.random.Generator, start: int, end: int, cast: list[Person], counts: Counter[str]) -> Stage:
    """Fill a scene with events and still stretches, from who is there at its beginning."""
    absent = [cast[i] for i in rng.permutation(len(cast))]
    stage = Stage(rng, start, absent, [str(thing) for thing in rng.permutation(THINGS)])
    for slot in rng.permutation(3)[: int(rng.choice(4, p=(0.3, 0.35, 0.25, 0.1)))]:
        thing = stage.things.pop() if rng.random() < 0.3 else None
        stage.people.append(Standing(absent.pop(), SLOTS[int(slot)], 1 if rng.random() < 0.5 else -1, thing))
    for x in rng.permutation((0.12, 0.35, 0.65, 0.88))[: int(rng.integers(0, 4))]:
        stage.laid.append(Laid(stage.things.pop(), round(float(x + rng.uniform(-0.03, 0.03)), 3)))
    stage.play(LEAD_MS)
    misses = 0
    while misses < 3:
        trial = stage.fork()
        if rng.random() < 0.1:
            trial.play(int(rng.integers(20, 81)) * STEP_MS)  # a still stretch of 5 to 20 s
            action = "still"
        else:
            action = play_next(trial, counts)
        if trial.clock <= end - LEAD_MS:
            stage = trial
            counts[action] += 1
        else:
            misses += 1
    stage.play(end - stage.clock)
    return stage
