"""One question after the other: what the agent does, sees, and records."""

import json
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loupe.agent.view import ViewError, prompt_of
from loupe.engines.protocol import EngineError, Reply
from loupe.library import Library
from schemas.messages import Usage
from schemas.results import ANSWERS, answer_row
from schemas.traces import TRACES, Trace
from tests.agent_scene import (
    HEIGHT,
    WIDTH,
    Cast,
    answer,
    ask,
    cues,
    picture,
    pictures_of,
    question,
    search,
    small_library,
    text_of,
    turn,
    vlm,
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return small_library(tmp_path_factory.mktemp("agent"))


async def test_cues_search_look_answer(library: Library) -> None:
    cast = Cast(
        library,
        reasoner=[cues(), search("a cat"), ask(times=[3, 0]), answer("a cat", [0, 3.2], confidence=0.8)],
        vlm=[vlm("a cat sits there")],
    )
    trace = await cast.play(question())
    assert (trace.status, trace.answer, trace.answer_said, trace.confidence) == ("answered", "A", "a cat", 0.8)
    assert [one.tool for one in trace.turns] == ["note_cues", "search_captions", "ask_vlm", "answer"]
    assert [(one.video_id, one.start_ms, one.source) for one in trace.evidence] == [
        ("a.mp4", 0, "frames"),
        ("a.mp4", 3000, "frames"),
    ]
    assert trace.evidence[1].lineage == "a.mp4/1/1/1000"
    assert "a cat sits there" in cast.prompts()[-1]


async def test_the_film_stands_before_the_question(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), answer("B")])
    await cast.play(question())
    prompt = cast.prompts()[0]
    film, asked = prompt.index("A cat and a dog meet"), prompt.index("Which animal is by the boat?")
    assert film < prompt.index("[0.0-3.0] events: the cat meets the dog") < asked < prompt.index("A. a cat\nB. a dog")
    assert "search_captions(query: str, start: float | null = None" in prompt
    assert "film: int" not in prompt


async def test_a_search_tells_hits_with_times_and_where_they_gather(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), search("a cat"), search("an egg", level="chunks"), answer("A")])
    trace = await cast.play(question())
    found = trace.turns[1].result
    assert "[0.0] 1.00 a cat stands here; cat." in found
    assert "0.0-8.0: 9 hits, best 1.00, 42 a minute" in found
    assert "[6.0-9.0] 0.58 there was a egg and a hat and a tree" in trace.turns[2].result


async def test_a_search_stays_within_its_window(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), search("a cat", start=2, end=5), answer("A")])
    found = (await cast.play(question())).turns[1].result
    assert "[3.0] 1.00 a cat stands here" in found
    assert "[0.0]" not in found
    assert "[6.0]" not in found


async def test_spoken_lines_are_searched_too(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), search("train", level="transcripts"), answer("A")])
    assert "[0.0-0.1] 1.00 the train is late" in (await cast.play(question())).turns[1].result


async def test_neighbours_with_the_same_caption_are_one_line(tmp_path: Path) -> None:
    from tests.agent_scene import Filmed, make_library

    library = make_library(tmp_path, Filmed("a.mp4", 0, ("cat",)), Filmed("a.mp4", 1, ("dog", "cat", "cat")))
    cast = Cast(library, reasoner=[cues(), search("a cat"), answer("A")])
    found = (await cast.play(question())).turns[1].result
    assert "[0.0-2.0] 1.00 x3 a cat stands here" in found
    assert "[4.0-5.0] 1.00 x2 a cat stands here" in found


async def test_only_the_newest_search_stands_whole(library: Library) -> None:
    cast = Cast(
        library, reasoner=[cues(), search("a cat"), ask(times=[0]), search("an egg"), answer("A")], vlm=[vlm("x")]
    )
    await cast.play(question())
    before, last = cast.prompts()[3:]
    assert "a cat stands here" in before
    assert "a cat stands here; cat." not in last.split("an egg")[0]
    assert re.search(r'Found for "a cat" in film 1: \d+ hits \(shortened', last)
    assert "an egg" in last.split("shortened")[1]
    assert "Answer: x" in last


async def test_all_chosen_frames_go_to_the_vlm_at_once_in_order(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), ask("Who is it?", times=[6, 2.6, 0.2, 3]), answer("A")], vlm=[vlm("x")])
    trace = await cast.play(question())
    (request,) = cast.engines["vlm"].requests
    assert pictures_of(request) == [picture(0), picture(3000), picture(6000)]
    told = text_of(request)
    assert "[0.0]\n<picture>\n[3.0]\n<picture>\n[6.0]\n<picture>\n" in told
    assert told.index("A cat and a dog meet") < told.index("[0.0-3.0] the cat meets the dog") < told.index("Who is it?")
    (call,) = trace.turns[1].calls
    shown = [part.media for message in call.messages for part in message.parts if part.media]
    assert [(one.ts_ms, one.pts_ms, one.width, one.height, one.source) for one in shown] == [
        (0, 7, WIDTH, HEIGHT, "table"),
        (3000, 3007, WIDTH, HEIGHT, "table"),
        (6000, 6007, WIDTH, HEIGHT, "table"),
    ]
    assert (call.usage.images, call.usage.pixels) == (3, 3 * WIDTH * HEIGHT)
    assert trace.turns[1].media == tuple(shown)


async def test_frames_evenly_apart_between_two_times(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), ask(start=2, end=8, frames=3), answer("A")], vlm=[vlm("x")])
    trace = await cast.play(question())
    assert [one.ts_ms for one in trace.turns[1].media] == [2000, 5000, 8000]


async def test_the_tiny_prompts_ask_as_the_tiny_model_learned_it(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), ask("Who?", times=[0]), answer("A")], vlm=[vlm("x")], prompts="tiny")
    await cast.play(question())
    assert cast.prompts("vlm") == ["[0.0]\n<picture>\nQuestion: Who?"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no json", "could not be used: not a turn"),
        (turn("fly"), "does not match any of the expected tags"),
        (search(""), "action.search_captions.query"),
        (turn("search_captions", query="a cat", confidence=70), "confidence: Input should be less than or equal to 1"),
        (search("a cat", start=5, end=2), "0 <= start < end <= 9.0, not 5.0 and 2.0"),
        (ask(), "Give either times, or start and end"),
        (ask(times=[0], end=3), "Give either times, or start and end"),
        (ask(times=[0, 99]), "Times are seconds from 0 to 9.0; 99 is not in the film."),
        (ask(times=list(range(9)), frames=2), "At most 4 frames can be shown at once"),
        (ask(start=0, end=9, frames=12), "At most 4 frames can be shown at once"),
        (answer("C"), "The answer is one letter of A-B, or unanswerable."),
        (answer("A", [-4]), "-4 is not in the film"),
    ],
)
async def test_what_is_wrong_is_told_and_costs_a_step(said: str, told: str, library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), said, answer("A")], frames=4)
    trace = await cast.play(question())
    assert trace.answer == "A"
    assert trace.turns[1].is_error
    assert told in trace.turns[1].result
    assert told in cast.prompts()[-1]
    assert [one.steps_left for one in trace.turns] == [12, 11, 10]


async def test_a_vlm_that_says_nothing_readable_is_told_to_the_agent(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), ask(times=[0]), answer("A")], vlm=["?", "??", "???"])
    trace = await cast.play(question())
    assert "The vision model said nothing that could be read" in trace.turns[1].result
    assert [call.said for call in trace.turns[1].calls] == ["?", "??", "???"]
    assert trace.status == "answered"


async def test_the_same_thing_twice_in_a_row_is_refused(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), search("a cat"), search("a cat"), answer("A")])
    trace = await cast.play(question())
    assert [one.is_error for one in trace.turns] == [False, False, True, False]


async def test_three_turns_in_a_row_that_do_not_parse_end_the_question(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), "a", search("a cat"), "b", "c", "d", answer("A")])
    trace = await cast.play(question())
    assert (trace.status, trace.answer, len(trace.turns)) == ("unparsed", None, 6)
    assert [request.temperature for request in cast.engines["reasoner"].requests] == [0, 0, 0.3, 0, 0.3, 0.7]


async def test_the_first_turn_notes_cues_and_nothing_else(library: Library) -> None:
    cast = Cast(library, reasoner=[answer("A"), cues(subject="cat"), answer("A")])
    trace = await cast.play(question())
    assert [one.parsed for one in trace.turns] == [False, True, True]
    assert json.loads(trace.turns[1].arguments or "")["subject"] == "cat"


async def test_on_the_last_step_only_an_answer_is_left(library: Library) -> None:
    queries = [search(f"cat {number}") for number in range(3)]
    cast = Cast(library, reasoner=[cues(), *queries, answer("A")], max_actions=3)
    trace = await cast.play(question())
    assert [one.steps_left for one in trace.turns] == [5, 4, 3, 2, 1]
    assert (trace.status, trace.limit) == ("answered", "actions")
    prompts = cast.prompts()
    assert [f"Steps left: {left}." in prompt for left, prompt in zip((5, 4, 3, 2), prompts, strict=False)] == [True] * 4
    assert prompts[-1].endswith("This is your last step: answer now, with what you have.")
    schema = cast.engines["reasoner"].requests[-1].schema
    assert schema is not None
    assert list(schema["$defs"]) == ["answer"]


async def test_who_does_not_answer_on_the_last_step_has_no_answer(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), answer("C"), answer("D"), answer("E")], max_actions=0)
    trace = await cast.play(question())
    assert (trace.status, trace.answer, len(trace.turns)) == ("turn_limit", None, 4)
    cast = Cast(library, reasoner=[cues(), search("a cat"), search("a dog"), search("an egg")], max_actions=0)
    assert (await cast.play(question())).status == "unparsed"


async def test_an_engine_that_gives_up_fails_the_question_with_what_was_done(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), EngineError("no answer after 7 tries")])
    trace = await cast.play(question())
    assert (trace.status, trace.error) == ("failed", "EngineError: no answer after 7 tries")
    assert trace.turns[-1].call.error == "no answer after 7 tries"
    cast = Cast(library, reasoner=[cues(), ask(times=[0])], vlm=[EngineError("away")])
    trace = await cast.play(question())
    assert (trace.status, trace.turns[-1].tool, trace.turns[-1].calls[0].error) == ("failed", "ask_vlm", "away")


async def test_a_film_that_is_not_there_fails_its_question(library: Library) -> None:
    trace = await Cast(library).play(question(video="b.mp4"))
    assert trace.status == "failed"
    assert "no film 'b.mp4'" in (trace.error or "")


async def test_a_film_may_be_named_by_its_address(library: Library) -> None:
    trace = await Cast(library, reasoner=[cues(), answer("A")]).play(question(video="s3://films/a.mp4"))
    assert (trace.status, trace.videos) == ("answered", ("a.mp4",))


@pytest.mark.parametrize(
    ("fields", "said", "normalized"),
    [
        ({}, "B.", "B"),
        ({}, "(b)", "B"),
        ({}, "A. A cat", "A"),
        ({"options": ("B", "A")}, "A", "A"),
        ({"options": (), "answer_type": "number", "answer": "3"}, "3.0", "3"),
        ({"options": (), "answer_type": "text", "answer": "cat"}, " the cat ", "the cat"),
        ({"options": (), "answer_type": "spans", "answer": None}, "[[4, 5.5], [1, 2]]", "[[1.0, 2.0], [4.0, 5.5]]"),
        ({"options": (), "answer_type": "spans", "answer": None}, "[4, 5]", "[[4.0, 5.0]]"),
    ],
)
async def test_answers_are_brought_to_one_form(fields: dict, said: str, normalized: str, library: Library) -> None:
    trace = await Cast(library, reasoner=[cues(), answer(said)]).play(question(**fields))
    assert (trace.answer, trace.answer_said) == (normalized, said)


@pytest.mark.parametrize(
    ("answer_type", "said"),
    [
        ("number", "three"),
        ("number", "2.5"),
        ("spans", "[[5, 4]]"),
        ("spans", "noon"),
        ("spans", "[]"),
        ("spans", "[" * 5000),
        ("spans", f"[[1, {'9' * 400}]]"),
        ("text", " "),
    ],
)
async def test_an_answer_of_another_form_is_told_what_form_it_has(
    answer_type: str, said: str, library: Library
) -> None:
    asked = question(options=(), answer_type=answer_type, answer=None)
    trace = await Cast(library, reasoner=[cues(), answer(said), answer("unanswerable")]).play(asked)
    assert [one.is_error for one in trace.turns] == [False, True, False]
    assert (trace.status, trace.answer) == ("abstained", "unanswerable")


# Budgets


@pytest.mark.parametrize(("budget", "limit"), [({"tokens": 900}, "tokens"), ({"cost": 0.0009}, "cost")])
async def test_at_a_budget_the_agent_answers_with_what_it_has(budget: dict, limit: str, library: Library) -> None:
    def reasoner(request) -> str:
        tools = list(request.schema["$defs"])
        return cues() if tools == ["note_cues"] else answer("A") if tools == ["answer"] else search("a cat")

    trace = await Cast(library, reasoner=reasoner, budget=budget).play(question())
    assert (trace.status, trace.limit) == ("answered", limit)
    assert len(trace.turns) == 2


async def test_time_is_a_budget_too(library: Library) -> None:
    ticks = iter(range(1000))
    cast = Cast(
        library,
        reasoner=[cues(), search("a cat"), answer("A")],
        clock=lambda: float(next(ticks)),
        budget={"seconds": 7},
    )
    trace = await cast.play(question())
    assert (trace.status, trace.limit, len(trace.turns)) == ("answered", "seconds", 3)


async def test_the_budget_of_a_job_is_that_of_all_its_questions(library: Library) -> None:
    said = [cues(), answer("A"), cues(), search("a cat"), answer("B"), answer("B")]
    cast = Cast(library, reasoner=said, job_budget={"tokens": 3000})
    first = await cast.play(question())
    second = await cast.play(question(question_id="q2"))
    third = await cast.play(question(question_id="q3"))
    assert [first.limit, second.limit, third.limit] == [None, "job", "job"]
    assert [len(one.turns) for one in (first, second, third)] == [2, 3, 1]


# The record


async def rich_trace(library: Library, **settings: object) -> tuple[Cast, Trace]:
    said = [
        cues(),
        search("a cat", observation="nothing yet"),
        "no json",
        ask(times=[0, 3], observation="cats at 0 and 3 s"),
        search("a dog", observation="the VLM saw a cat"),
        ask(times=[1]),
        answer("A", [0]),
    ]
    cast = Cast(library, reasoner=said, vlm=[vlm("a cat"), vlm("a dog")], **settings)
    return cast, await cast.play(question())


@pytest.mark.parametrize("shown", [{}, {"prompt_tokens": 256, "letters_per_token": 20}, {"whole_turns": 1}])
async def test_a_trace_gives_every_prompt_again(shown: dict, library: Library) -> None:
    cast, trace = await rich_trace(library, shown=shown)
    again = Trace.from_row(trace.as_row())
    assert again == trace
    for index, request in enumerate(cast.engines["reasoner"].requests):
        rebuilt = prompt_of(again, index)
        assert [message.role for message in rebuilt] == [message.role for message in request.messages]
        texts = [[part.text for part in message.parts] for message in rebuilt]
        assert texts == [[part.text for part in message.parts()] for message in request.messages]


async def test_a_trace_that_was_changed_gives_no_prompt(library: Library) -> None:
    _, trace = await rich_trace(library)
    other = trace.turns[1].model_copy(update={"brief": "something else"})
    with pytest.raises(ViewError, match="shown another prompt"):
        prompt_of(trace.model_copy(update={"turns": (trace.turns[0], other, *trace.turns[2:])}), 6)
    with pytest.raises(ViewError, match="of view 0"):
        prompt_of(trace.model_copy(update={"view_version": "0"}), 1)


@pytest.mark.parametrize("letters", [400, 600, 900, 1500])
async def test_a_prompt_keeps_its_bound_and_its_end(letters: int, library: Library) -> None:
    cast, trace = await rich_trace(
        library, shown={"prompt_tokens": 256, "letters_per_token": letters / 256}, prompts="tiny"
    )
    assert trace.status == "answered"
    for prompt, one in zip(cast.prompts(), trace.turns, strict=True):
        assert len(prompt) <= letters + prompt.count("\n")
        assert prompt.endswith(f"Left: {one.steps_left}.")
        assert "Question: Which animal is by the boat?" in prompt


async def test_older_turns_stand_without_their_thoughts(library: Library) -> None:
    said = [cues(subject="cat"), search("a cat", thought="cats sit", start=None), search("a dog", thought="dogs run")]
    cast = Cast(library, reasoner=[*said, answer("A")], shown={"whole_turns": 1})
    await cast.play(question())
    last = cast.prompts()[-1]
    assert '{"action":{"tool":"note_cues","subject":"cat","search":"a cat"}}' in last
    assert '{"action":{"tool":"search_captions","query":"a cat","level":"frames"}}' in last
    assert "dogs run" in last
    assert "cats sit" not in last


async def test_what_goes_from_a_prompt_leaves_a_note(library: Library) -> None:
    cast, _ = await rich_trace(library, shown={"prompt_tokens": 256, "letters_per_token": 900 / 256}, prompts="tiny")
    assert "- cats at 0 and 3 s" in cast.prompts()[-1]


async def test_a_long_note_is_taken_whole_and_keeps_its_end_where_there_is_no_room(library: Library) -> None:
    tally = "so far: 1 cat"
    note = f"at first a lamp. {'nothing. ' * 150}{tally}"
    said = [cues(), ask(times=[0]), search("a cat", observation=note), search("a dog"), ask(times=[1]), answer("A")]
    shown = {"prompt_tokens": 256, "letters_per_token": 1300 / 256}
    cast = Cast(library, reasoner=said, vlm=[vlm("a cat")] * 2, shown=shown, prompts="tiny")
    trace = await cast.play(question())
    assert (trace.status, trace.turns[2].observation) == ("answered", note)
    noted = next(line for line in cast.prompts()[-1].splitlines() if line.startswith("- at first a lamp."))
    assert noted.endswith(tally)
    assert len(noted) <= len("- ") + 500


async def test_the_row_of_an_answer_adds_up(library: Library) -> None:
    _, trace = await rich_trace(library)
    row = answer_row(trace)
    assert (row["status"], row["answer"], row["answer_first"], row["turns"], row["calls"]) == (
        "answered",
        "A",
        "A",
        7,
        9,
    )
    spent = {one["role"]: one for one in row["spent"]}
    assert (spent["reasoner"]["calls"], spent["vlm"]["calls"]) == (7, 2)
    assert (spent["vlm"]["frames"], spent["vlm"]["pixels"], spent["reasoner"]["frames"]) == (3, 3 * WIDTH * HEIGHT, 0)
    assert row["prompt_tokens"] == sum(one["prompt_tokens"] for one in row["spent"])
    assert row["cost"] == pytest.approx((row["prompt_tokens"] + 2 * row["completion_tokens"]) / 1e6)
    assert {one["prompt"] for one in row["prompts"]} >= {"full/retrieval_critic", "full/ask", "full/question_choice"}


async def test_what_engines_tell_of_their_tokens_is_kept(library: Library) -> None:
    told = {"token_ids": (5, 6), "logprobs": (-0.5, -1.0), "entropies": (1.0, 2.0), "entropy_definition": "whole"}
    said = [Reply(text, Usage(prompt_tokens=3, completion_tokens=2), "stop", **told) for text in (cues(), answer("A"))]
    cast = Cast(library, reasoner=said, logprobs=True)
    call = (await cast.play(question())).turns[0].call
    assert (call.token_ids, call.logprobs, call.mean_entropy) == ((5, 6), (-0.5, -1.0), 1.5)
    assert call.entropy_definition == "whole"
    assert all(request.logprobs for request in cast.engines["reasoner"].requests)
    _, without = await rich_trace(library)
    assert without.turns[0].call.mean_entropy is None


async def test_rows_are_read_by_sql(library: Library, tmp_path: Path) -> None:
    traces = [(await rich_trace(library))[1], await Cast(library).play(question(question_id="q2", video="b.mp4"))]
    pq.write_table(pa.Table.from_pylist([one.as_row() for one in traces], schema=TRACES), tmp_path / "traces.parquet")
    pq.write_table(pa.Table.from_pylist([answer_row(one) for one in traces], schema=ANSWERS), tmp_path / "a.parquet")
    told = duckdb.sql(
        f"select a.question_id, a.status, len(t.turns), t.turns[2].tool, a.spent[1].role, a.evidence[1].start_ms "
        f"from '{tmp_path}/a.parquet' a join '{tmp_path}/traces.parquet' t using (transcript_id) order by 1"
    ).fetchall()
    assert told == [("q1", "answered", 7, "search_captions", "reasoner", 0), ("q2", "failed", 0, None, None, None)]
    rows = pq.read_table(tmp_path / "traces.parquet").to_pylist()
    assert [Trace.from_row(row) for row in rows] == traces


async def test_a_trace_reads_as_one_conversation(library: Library) -> None:
    _, trace = await rich_trace(library)
    messages = json.loads(trace.as_row()["messages"])
    assert [message["role"] for message in messages[:4]] == ["system", "user", "assistant", "user"]
    assert messages[-1] == {"role": "assistant", "content": trace.turns[-1].call.said}
    assert sum("a cat stands here" in message["content"] for message in messages) >= 1
