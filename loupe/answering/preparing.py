"""What a job needs before it answers: the questions that are left, in groups, and the desk that these share."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from loupe.agent.loop import failed, named
from loupe.agent.policies import find_policy
from loupe.agent.policy import Policy, needed_roles, pictures
from loupe.agent.scene import Desk
from loupe.answering.run import Run, RunError
from loupe.config import Config, ConfigError, LocalModel, Role, VllmModel
from loupe.embedding import dimensions_of, identity_of, open_embedder
from loupe.engines.open import open_engine, open_transcriber
from loupe.library import Library
from schemas.questions import Question
from schemas.traces import Trace

GROUP = 8
"""Questions that travel together, at most."""


@dataclass(frozen=True)
class Group:
    """Questions that one actor takes at once."""

    questions: tuple[Question, ...]

    def ids(self) -> tuple[str, ...]:
        """Of its questions."""
        return tuple(question.question_id for question in self.questions)


def left_of(questions: Sequence[Question], finished: pa.Table) -> list[Question]:
    """The questions that have no row among the finished ones; those of one film stand together.

    Raises RunError where one was asked differently before.
    """
    known = dict(zip(finished["question_id"].to_pylist(), finished["asked"].to_pylist(), strict=True))
    for one in questions:
        if known.get(one.question_id, one.asked_hash()) != one.asked_hash():
            raise RunError(
                f"question {one.question_id} was answered before in other words, or with other options, films or "
                "limits: give it another question_id, or another --output"
            )
    return sorted((one for one in questions if one.question_id not in known), key=lambda one: one.videos)


def groups_of(questions: Sequence[Question], actors: int) -> list[Group]:
    """The questions in their order, in groups that keep so many actors busy."""
    size = max(1, min(GROUP, len(questions) // (2 * actors)))
    return [Group(tuple(questions[at : at + size])) for at in range(0, len(questions), size)]


def reached(config: Config) -> Config:
    """The config as the job reaches its models: through the front where it names one.

    Raises ConfigError for a policy that there is not, a role that it needs and nobody has, a model that only the front
    can reach, and one that cannot hear or see what it would be shown.
    """
    front = config.answer.job.front
    through = config.through_front(front) if front else config
    if (
        config.answer.looking.hearing == "transcript"
        and "transcriber" in roles_of(config)
        and not config.speech_model()
    ):
        raise ConfigError(
            "the config gives nobody the role 'transcriber': name a model that writes down what is said, "
            "or set answer.looking.hearing to audio, for a vlm that hears, or to off"
        )
    for role in chat_roles(config):
        if isinstance(through.chat_model(role), VllmModel):
            raise ConfigError(
                f"the {role}'s model {config.roles[role]!r} runs on vLLM: serve the config's models, and give the "
                "address of their front (--front http://127.0.0.1:8000/v1)"
            )
    refuse_what_cannot_be_perceived(config)
    return through


class TooManyPictures(ConfigError):
    """A model takes fewer pictures at once than it would be shown."""


def refuse_what_cannot_be_perceived(config: Config) -> None:
    """Raises ConfigError for a model that is to hear and does not, and for one that takes fewer pictures at once."""
    policy, settings = find_policy(config.answer.policy), config.answer
    hears = settings.looking.hearing == "audio" and "transcriber" in policy.asks
    if hears and isinstance(config.chat_model("vlm"), LocalModel):
        raise ConfigError(
            f"the vlm's model {config.roles['vlm']!r} has engine local, which hears nothing: set "
            "answer.looking.hearing to transcript, for a transcriber, or to off"
        )
    for role, count in pictures(policy, settings).items():
        model = config.chat_model(role)
        if isinstance(model, VllmModel) and model.images_per_request < count:
            raise TooManyPictures(
                f"the {role}'s model {config.roles[role]!r} takes {model.images_per_request} pictures a request "
                f"(images_per_request), and policy {policy.name} may show it {count}: raise it, or lower "
                "answer.looking.frames, answer.frames or answer.passive_frames"
            )


def roles_of(config: Config) -> tuple[Role, ...]:
    """The roles that the config's policy needs."""
    return needed_roles(find_policy(config.answer.policy), config.answer)


def chat_roles(config: Config) -> tuple[Role, ...]:
    """Those of them whose models chat."""
    return tuple(role for role in roles_of(config) if role != "transcriber")


def open_library(config: Config) -> Library | None:
    """The index, for a policy that needs it or uses it where it is. Raises LibraryError, ConfigError."""
    index = find_policy(config.answer.policy).index
    if index == "unused" or (index == "used" and Library.open_if_there(config.index.database) is None):
        return None
    embedder = config.embedding_model()
    return Library.open(config.index.database, dimensions_of(embedder), embedder=identity_of(embedder))


def open_desk(config: Config, run: Run) -> Desk:
    """A desk with the engines that the policy needs; roles that share a model share its engine."""
    through, library = reached(config), open_library(config)
    models = {config.roles[role]: through.chat_model(role) for role in chat_roles(config)}
    speech = config.speech_model() if "transcriber" in roles_of(config) else None  # the front transcribes nothing
    return Desk(
        library=library,
        embedder=None if library is None else open_embedder(config.embedding_model()),
        engines={name: open_engine(model) for name, model in models.items()},
        config=config,
        run=run.run,
        transcriber=None if speech is None else open_transcriber(speech),
        root=config.index.library,
    )


def failure(desk: Desk, policy: Policy, question: Question, error: Exception) -> Trace:
    """The trace of a question that raised."""
    told = {
        "question": _writable(question.question),
        "options": tuple(map(_writable, question.options)),
    }
    reason = _writable(named(error))
    trace = failed(desk, policy, question.model_copy(update=told), reason)
    return trace.model_copy(update={"asked": question.asked_hash()})


def _writable(text: str) -> str:
    """The text without what no file can hold."""
    return text.encode(errors="replace").decode()
