"""A small real library, models that follow a script, and the turns that a model may say: for tests of the agent."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loupe.agent.loop import rollout
from loupe.agent.policies import POLICIES
from loupe.agent.scene import Desk
from loupe.config import Config
from loupe.engines.protocol import ChatRequest
from loupe.engines.scripted import Answer, Rule, ScriptedEngine
from loupe.engines.speech import Transcriber
from loupe.library import Library
from loupe.media import encode_jpeg
from schemas import tables
from schemas.messages import Image, Text
from schemas.questions import Question
from schemas.traces import Trace
from tests.library_scene import DIMENSIONS, Scene, batch, vector_of

WIDTH, HEIGHT = 24, 16
SUMMARY = "A cat and a dog meet by the boat."
MARKS = {"image": "picture", "audio": "sound"}
Script = Rule | Sequence[Answer]


class Filmed(Scene):
    """A chunk whose frames are real pictures, each of another grey, with the captions that are given or made up."""

    def __init__(self, *args: Any, told: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.told = told

    def frames(self) -> pa.Table:
        rows = super().frames().to_pylist()
        for row in rows:
            row["jpeg"] = picture(row["ts_ms"])
        return pa.Table.from_pylist(rows, schema=tables.frames())

    def captions(self) -> list[dict[str, Any]]:
        rows = super().captions()
        for row, text in zip(rows, self.told, strict=False):
            row |= {"caption": text, "text": text, "subjects": [], "vector": vector_of(text)}
        return rows


def picture(ts_ms: int) -> bytes:
    return encode_jpeg(np.full((HEIGHT, WIDTH, 3), ts_ms // 1000 * 7 % 256, np.uint8))


class WordEmbedder:
    """Texts to the words of WORDS that are in them, as the rows of a scene have them."""

    dimensions = DIMENSIONS

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([vector_of(text) for text in texts], np.float32).reshape(-1, DIMENSIONS)

    def embed_query(self, text: str) -> np.ndarray:
        return self.embed([text])[0]


def make_library(
    folder: Path, *scenes: Scene, summary: str = SUMMARY, log: Sequence[tuple[int, int, str]] = ()
) -> Library:
    """A library of these chunks; every film has this summary and event log (start ms, end ms, text)."""
    database = str(folder / "database")
    library = Library.open(database, DIMENSIONS, create=True)
    library.commit(batch(database, *scenes))
    ends: dict[str, int] = {}
    for scene in scenes:
        ends[scene.film] = max(ends.get(scene.film, 0), scene.end_ms)
    library.put_videos(
        [
            {
                "video_id": film,
                "uri": f"s3://films/{film}",
                "status": "complete",
                "duration_ms": end,
                "summary": summary,
                "vector": vector_of(summary),
                "events": [{"start_ms": start, "end_ms": stop, "text": text} for start, stop, text in log],
            }
            for film, end in ends.items()
        ]
    )
    return library


def small_library(folder: Path) -> Library:
    """One film of nine seconds: a cat at 0 and 3 s, a dog at 1 s, an egg at 6 s, a spoken line about a train."""
    return make_library(
        folder,
        Filmed("a.mp4", 0, ("cat", "dog", "boat"), lines=("the train is late",)),
        Filmed("a.mp4", 1, ("cat", "lamp", "tree")),
        Filmed("a.mp4", 2, ("egg", "hat", "tree")),
        log=[(0, 3000, "the cat meets the dog"), (6000, 9000, "an egg falls")],
    )


ROLES = ("reasoner", "vlm", "critic", "critic_vlm")


def config(**answer: Any) -> Config:
    """Every role its own scripted model, at a price; `answer` are settings of that section."""
    models: dict[str, Any] = {
        role: {"engine": "scripted", "price": {"prompt": 1.0, "completion": 2.0, "minute": 4.0}}
        for role in (*ROLES, "transcriber")
    }
    settings = dict(answer)
    return Config.model_validate(
        {
            "models": models | {"words": {"engine": "hashing", "dimensions": DIMENSIONS}},
            "roles": {role: role for role in (*ROLES, "transcriber")} | {"embedder": "words"},
            "prompts": settings.pop("prompts", "full"),
            "answer": settings,
        }
    )


class Cast:
    """A desk whose models follow scripts, and what they were asked."""

    def __init__(
        self,
        library: Library | None,
        *,
        reasoner: Script = (),
        vlm: Script = (),
        critic: Script = (),
        critic_vlm: Script = (),
        transcriber: Transcriber | None = None,
        critic_settings: dict[str, Any] | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        root: str | None = None,
        **answer: Any,
    ) -> None:
        scripts = {"reasoner": reasoner, "vlm": vlm, "critic": critic, "critic_vlm": critic_vlm}
        self.engines = {role: ScriptedEngine(script) for role, script in scripts.items()}
        settings = config(critic=critic_settings or {"mode": "off"}, **answer)
        embedder = WordEmbedder() if library else None
        self.desk = Desk(
            library, embedder, self.engines, settings, run="r1", transcriber=transcriber, root=root, clock=clock
        )

    async def play(self, question: Question, policy: str = "retrieval_critic") -> Trace:
        return await rollout(self.desk, POLICIES[policy], question)

    def prompts(self, role: str = "reasoner") -> list[str]:
        """What a role's model read, request by request."""
        return [text_of(request) for request in self.engines[role].requests]


def text_of(request: ChatRequest) -> str:
    """The words of a request; a picture is a mark, and so is a sound."""
    parts = (part for message in request.messages for part in message.parts())
    return "\n".join(part.text if isinstance(part, Text) else f"<{MARKS[part.type]}>" for part in parts)


def pictures_of(request: ChatRequest) -> list[bytes]:
    return [part.jpeg for message in request.messages for part in message.parts() if isinstance(part, Image)]


def question(text: str = "Which animal is by the boat?", **fields: Any) -> Question:
    """A choice of two about a.mp4, the first of them right."""
    known: dict[str, Any] = {"question_id": "q1", "video": "a.mp4", "options": ("a cat", "a dog"), "answer": "A"}
    return Question.model_validate(known | {"question": text} | fields)


# What a model says


def turn(tool: str, *, confidence: float = 0.5, thought: str = "", observation: str = "", **arguments: Any) -> str:
    said = {"observation": observation, "thought": thought, "confidence": confidence}
    return json.dumps(said | {"action": {"tool": tool, **arguments}})


def cues(search: str = "a cat", **told: str) -> str:
    names = ("temporal", "action", "spatial", "semantic", "subject", "length")
    return turn("note_cues", **{name: told.get(name, "") for name in names}, search=search)


def search(query: str, **arguments: Any) -> str:
    return turn("search_captions", query=query, **arguments)


def ask(text: str = "What is there?", **arguments: Any) -> str:
    return turn("ask_vlm", question=text, **arguments)


def answer(content: str, times: Sequence[float] = (), **said: Any) -> str:
    return turn("answer", content=content, evidence_times=list(times), **said)


def look(start: float, end: float, frames: int, **said: Any) -> str:
    return turn("look", start=start, end=end, frames=frames, **said)


def listen(start: float, end: float, **said: Any) -> str:
    return turn("listen", start=start, end=end, **said)


def watch(start: float, end: float, frames: int, **said: Any) -> str:
    return turn("watch", start=start, end=end, frames=frames, **said)


def vlm(text: str, reasoning: str = "as seen") -> str:
    return json.dumps({"reasoning": reasoning, "answer": text})


def doubt(search: str = "a dog", question: str = "Which animals are there?") -> str:
    return json.dumps({"search": search, "question": question})


def verdict(confidence: float, *errors: str, suggestion: str = "look again") -> str:
    return json.dumps({"possible_errors": errors, "suggestion": suggestion, "confidence": confidence})
