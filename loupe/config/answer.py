"""How questions are answered. What stands under a key here stands in docs/answering.md too."""

from typing import Annotated, Literal

from pydantic import Field

from loupe.config.section import Actors, Off, Section

CaptionField = Literal["caption", "subjects", "actions", "place", "objects", "on_screen_text"]
CAPTION_FIELDS: tuple[CaptionField, ...] = ("caption", "subjects", "actions", "place", "objects", "on_screen_text")


class Critic(Section):
    """When an answer is doubted, and how hard."""

    mode: Annotated[Literal["off", "always", "below"], Off] = "always"
    """Which answers are reviewed; below: only those of which the agent is less sure than `below`."""
    below: float = Field(default=0.9, ge=0, le=1)
    """The agent's confidence from which an answer passes unreviewed, where `mode` is below."""
    threshold: float = Field(default=0.7, ge=0, le=1)
    """Under this confidence of the critic's the agent goes on, with the critique in its notes."""
    max_reviews: int = Field(default=1, ge=1)
    """Answers of one question that are reviewed, at most."""
    frames: int = Field(default=8, ge=1)
    """Of the frames that the critic looks at, those from elsewhere than the evidence, at most."""


class Shown(Section):
    """How much of what is known a model is shown. A small model needs small numbers."""

    prompt_tokens: int = Field(default=24_000, ge=256)
    """Tokens of the prompt of a turn, at most: the oldest turns go first."""
    letters_per_token: float = Field(default=3.5, gt=0)
    """What tokens are estimated by, before a model counts them."""
    whole_turns: int = Field(default=100, ge=0)
    """The newest so many turns stand as the model said them; older ones without thought and empty arguments. Where the
    model looks by itself, the newest alone, or none."""
    hits: int = Field(default=40, ge=1)
    """Lines of a search; hits next to each other with the same text are one line."""
    hit_letters: int = Field(default=600, ge=16)
    """Letters of such a line, at most."""
    clusters: int = Field(default=12, ge=1)
    """Places where hits gather, that a search tells, at most."""
    summary_letters: int = Field(default=4000, ge=0)
    """Letters of a film's summary, at most."""
    log_lines: int = Field(default=60, ge=0)
    """Lines of the film's logs at the start of a prompt, thinned evenly."""
    reasoning_letters: int = Field(default=3000, ge=0)
    """Letters of the agent's thoughts, that the critic reads: the last ones."""
    caption_fields: tuple[CaptionField, ...] = CAPTION_FIELDS
    """What of a frame's caption a search shows."""
    near_log_lines: int = Field(default=12, ge=0)
    """Lines of the logs around the frames that the VLM is asked about."""


class Looking(Section):
    """Looking and listening, of the policies whose model does so itself."""

    turns: Literal["by_length", "fixed"] = "by_length"
    """How many turns there are, the answer included. by_length: min(5 + minutes, max_turns); fixed: max_turns."""
    max_turns: int = Field(default=32, ge=6, le=52)
    """Turns of a question, at most; what came after a critique counts anew."""
    sure: float = Field(default=0.9, ge=0, le=1)
    """Policy active_perception: the confidence that an answer before the last turn needs; investigator has a critic."""
    frames: int = Field(default=60, ge=1, le=60)
    """Frames of one look, at most."""
    listen_seconds: float = Field(default=300, gt=0, le=300)
    """Seconds that are listened to at once, at most."""
    watch_seconds: float = Field(default=60, gt=0, le=60)
    """Seconds that are watched at once, at most."""
    prompt_tokens: int | None = Field(default=None, ge=256)
    """Policy active_perception: tokens of a prompt, at most; None: as shown.prompt_tokens."""
    purge: bool = True
    """Of all percepts only the newest stands in a prompt. False, to measure what that saves: all of them do."""
    notes: bool = True
    """What turns noted stays in the prompt. False, to measure what that is worth: it goes as thoughts do."""
    hearing: Annotated[Literal["transcript", "audio", "off"], Off] = "transcript"
    """What the model gets of sound. transcript: the words, by the role transcriber; audio: the sound, if it hears."""


class Notes(Section):
    """What is noted of a film while a question is answered, and may help later ones."""

    keep: bool = False
    """Write what was noted of looks and listenings to the database's table `notes`, a batch of answers at a time."""
    offer: int = Field(default=0, ge=0)
    """Policy investigator: notes of earlier questions about a film that a question begins with, at most. With `keep` in
    the same run, what a question is offered depends on which others ended before it: keep in one run and offer in the
    next, where answers are to be the same whatever the order."""


class Budget(Section):
    """What may be spent before the agent must answer with what it has; None: no limit."""

    tokens: int | None = Field(default=None, ge=1)
    """Prompt and completion, of all roles together."""
    seconds: float | None = Field(default=None, gt=0)
    """From when the question's films are open, or from the actor's first where it is a job's budget."""
    cost: float | None = Field(default=None, gt=0)
    """US dollars, by the prices of the models."""


class AnswerJob(Actors):
    """How the batch job works; none of it decides about an answer."""

    actors_max: int = Field(default=16, ge=1)
    """Actors, at most: Ray starts as many as the cluster has cores for and the questions keep busy. Where a model runs
    in the job itself, each holds one."""
    questions: str = "data/demo/questions.parquet"
    """The file of questions, where the command line names none."""
    output: str = "data/demo/results"
    """The folder of answers and traces, where the command line names none."""
    questions_in_flight: int = Field(default=256, ge=1)
    """Questions that one actor works on at a time."""
    commit_questions: int = Field(default=512, ge=1)
    """Answers in a file, about; and fewer where `commit_seconds` have passed."""
    commit_seconds: float = Field(default=30, gt=0)
    """The job that dies loses the answers of so many seconds, or of a twentieth of its time where that is more."""
    progress_seconds: float = Field(default=30, gt=0)
    """Between two lines about how far the job is."""
    lease_seconds: float = Field(default=60, gt=0)
    """After which a job that died is taken for dead, and another may go on."""
    footage_mb: int = Field(default=256, ge=1)
    """Megabytes of open films, and of what was decoded and transcribed of them, that a worker keeps."""
    front: str | None = None
    """Address of the served models (http://127.0.0.1:8000/v1), where the job asks them and opens no engine itself."""


class Answer(Section):
    """How questions are answered."""

    policy: str = "retrieval_critic"
    """retrieval_critic, active_perception, investigator, passive or socratic, where the command line names none."""
    max_actions: int = Field(default=10, ge=0)
    """Policy retrieval_critic: searches and looks of a round; then the agent must answer."""
    top_k: int = Field(default=40, ge=1)
    """Hits of a search, where the agent asks for no other number."""
    search_mode: Literal["vector", "text", "hybrid"] = "hybrid"
    """What is searched by: meaning, words, or both."""
    frames: int = Field(default=16, ge=1)
    """Frames that the VLM is shown at once, at most."""
    passive_frames: int = Field(default=16, ge=1)
    """Frames that the policy `passive` shows, at most."""
    passive_times: Literal["uniform", "relevant"] = "uniform"
    """Where these frames are. uniform: evenly apart over the film; relevant: inside the question's `relevant_times`,
    which nobody who has to find the answer knows: what the same model would get right, handed the evidence."""
    films: int = Field(default=3, ge=1)
    """Films that a question about more of them, or about the whole library, is answered from."""
    turn_tokens: int = Field(default=1024, ge=16)
    """Tokens that a model may write in a turn."""
    ask_tokens: int = Field(default=512, ge=16)
    """Tokens that a VLM may write about the frames that it is asked about."""
    verdict_tokens: int = Field(default=512, ge=16)
    """Tokens that the critic may write, for its doubt and for its verdict."""
    options_by: Literal["letter", "letter_or_text"] = "letter"
    """How an option may be named, where the engine holds replies to a schema. letter: one schema serves all questions
    with as many options; letter_or_text: each question has its own, and a small model may copy the words."""
    temperature: float = Field(default=0.0, ge=0)
    """Temperature of the turns: above 0 where several rollouts of a question are to differ."""
    logprobs: bool = False
    """Keep token ids and log-probabilities in the traces, where the engines give them."""
    critic: Critic = Critic()
    looking: Looking = Looking()
    notes: Notes = Notes()
    shown: Shown = Shown()
    budget: Budget = Budget()
    """Of one question."""
    job_budget: Budget = Budget()
    """Of all questions of a job."""
    job: AnswerJob = AnswerJob()
