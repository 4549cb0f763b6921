"""What runs in a replica, and what the front makes of Ray's errors. Nothing here starts Ray."""

import numpy as np
import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from loupe.config import OpenAIModel, ScriptedModel
from loupe.embedding import HashingEmbedder
from loupe.engines.protocol import ChatRequest, EngineError, RequestError, UnavailableError
from schemas.messages import Message
from serving.errors import ApiError
from serving.replicas import FAILURES_IN_A_ROW, ChatReplica, embed_together, ray_errors
from tests.openai_server import OpenAIServer

HELLO = ChatRequest((Message(role="user", content="hello"),))


async def test_a_replica_that_only_fails_calls_itself_ill_and_one_answer_heals_it() -> None:
    with OpenAIServer(script=["error"] * FAILURES_IN_A_ROW) as upstream:
        replica = ChatReplica(OpenAIModel(engine="openai", base_url=upstream.url, model="x", max_retries=0))
        await replica.check_health()
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(EngineError):
                await replica.answer(HELLO)
        with pytest.raises(RuntimeError, match="the last 5 requests failed"):
            await replica.check_health()
        assert (await replica.answer(HELLO)).text == "yes"
        await replica.check_health()


async def test_bad_requests_do_not_make_a_replica_ill() -> None:
    with OpenAIServer(script=[(400, {"error": {"message": "no"}}, {})] * 9) as upstream:
        replica = ChatReplica(OpenAIModel(engine="openai", base_url=upstream.url, model="x"))
        for _ in range(9):
            with pytest.raises(RequestError):
                await replica.answer(HELLO)
        await replica.check_health()


async def test_a_replica_opens_the_engine_of_its_model() -> None:
    assert (await ChatReplica(ScriptedModel(engine="scripted")).answer(HELLO)).text


def test_texts_of_several_requests_are_embedded_together_and_come_back_apart() -> None:
    asked = [["a red cap", "the harbour"], ["night"], ["one", "two", "three"]]
    answers = embed_together(HashingEmbedder(8), asked)
    for texts, vectors in zip(asked, answers, strict=True):
        np.testing.assert_array_equal(vectors, HashingEmbedder(8).embed(texts))


async def test_rays_errors_become_ours() -> None:
    def of_task(cause: Exception) -> RayTaskError:
        return RayTaskError("answer", "Traceback: secret", cause)

    cases: list[tuple[Exception, type[Exception], str]] = [
        (BackPressureError(9, 8), ApiError, "too many requests wait for 'tiny'"),
        (of_task(RequestError("too long")), RequestError, "too long"),
        (of_task(EngineError("out of order")), EngineError, "out of order"),
        (of_task(ZeroDivisionError("secret")), EngineError, "ZeroDivisionError in its replica"),
        (ActorDiedError(), UnavailableError, "its replica was lost"),
    ]
    for raised, kind, sentence in cases:
        with pytest.raises(kind) as caught:
            async with ray_errors("tiny"):
                raise raised
        assert sentence in str(caught.value)
        assert "secret" not in str(caught.value)
        assert getattr(caught.value, "status", 429) == 429
