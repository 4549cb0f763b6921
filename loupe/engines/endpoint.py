"""An OpenAI-compatible address, asked with retries that are kind to the server. What is asked is the caller's."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypedDict, TypeVar

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from loupe.engines.protocol import EngineError, RequestError, UnavailableError
from loupe.retrying import retry_after_s

T = TypeVar("T")

LONGEST_WAIT_S = 60.0
"""Of the exponential back-off; a server's own Retry-After may be longer."""
TRANSIENT_STATUS = frozenset({408, 409, 429})
"""Beside every 5xx."""
REQUEST_STATUS = frozenset({400, 413, 422})
"""What servers say to a request that they will never answer."""
NO_CREDIT = "insufficient_quota"
"""The code of a 429 that no waiting ends (platform.openai.com/docs/guides/error-codes)."""


class TransientError(Exception):
    """What may be over at the next try."""


class BusyError(TransientError):
    """The server has too much to do, or is not up yet, and says so. `retry_after` is in seconds, 0 if it names none."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Patience(TypedDict, total=False):
    """How an address is asked, but for the address."""

    api_key_env: str
    concurrency: int
    timeout_s: float
    max_retries: int
    first_wait_s: float
    patience_s: float


class GivingUp:
    """When the tries of one request are over.

    That is after `max_retries` failures and one more; or when the next try would come `patience_s` or more after the
    server first said that it is busy, however often it was asked.
    """

    def __init__(self, max_retries: int, patience_s: float) -> None:
        self._failures_left = max_retries
        self._patience_s = patience_s
        self._busy_since: float | None = None

    def __call__(self, state: RetryCallState) -> bool:
        """Whether a try that failed was the last. tenacity asks once a try, and knows the next wait by then."""
        if not isinstance(_error(state), BusyError):
            self._failures_left -= 1
            return self._failures_left < 0
        now = time.monotonic()
        if self._busy_since is None:
            self._busy_since = now
        return now + state.upcoming_sleep - self._busy_since >= self._patience_s


class Endpoint:
    """An address and how to ask it.

    A server that is busy (429, or an error with Retry-After) is asked again for `patience_s`. 5xx, time-outs, cut
    connections and bodies that are not what was asked for are tried again up to `max_retries` times. Before try n + 1
    lies a wait drawn from [0, first_wait_s * 2^(n-1)], up to LONGEST_WAIT_S, and never less than the server asks for.
    No credit is an UnavailableError at once, and any other 4xx an EngineError (a RequestError where the request is to
    blame), with the server's sentence. `timeout_s` holds for one try as a whole.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 32,
        timeout_s: float = 120,
        max_retries: int = 6,
        first_wait_s: float = 1.0,
        patience_s: float = 600,
    ) -> None:
        self._key = os.environ.get(api_key_env, "")
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._patience_s = patience_s
        self._back_off = wait_random_exponential(multiplier=first_wait_s, max=LONGEST_WAIT_S)
        self._slots = asyncio.Semaphore(concurrency)
        self._client = openai.AsyncOpenAI(
            base_url=base_url, api_key=self._key or "none", max_retries=0, timeout=timeout_s
        )

    async def ask(self, request: Callable[[openai.AsyncOpenAI], Awaitable[T]]) -> tuple[T, int]:
        """What the address answers to a request, and how often it was tried again.

        `request` raises TransientError where the answer is not what it asked for. A slot is held from the first try to
        the last, so that waiting slows the caller down.
        """
        tries = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=GivingUp(self._max_retries, self._patience_s),
            wait=self._wait,
            reraise=True,
        )
        async with self._slots:
            try:
                answer: T = await tries(self._try, request)
            except TransientError as error:
                count, seconds = (tries.statistics[key] for key in ("attempt_number", "delay_since_first_attempt"))
                attempts = f"{count} tries in {seconds:.0f} s" if count > 1 else "one try"
                raise UnavailableError(self._without_key(f"no answer after {attempts}: {error}")) from None
        return answer, int(tries.statistics["attempt_number"]) - 1

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _try(self, request: Callable[[openai.AsyncOpenAI], Awaitable[T]]) -> T:
        """One try. Raises TransientError, or EngineError where another try is of no use."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await request(self._client)
        except openai.APIStatusError as error:
            message = f"HTTP {error.status_code}: {_sentence(error)}"
            if error.code == NO_CREDIT:
                raise UnavailableError(self._without_key(message)) from None
            if error.status_code in TRANSIENT_STATUS or error.status_code >= 500:
                wait_s = retry_after_s(error.response.headers.get("retry-after", ""), time.time())
                if wait_s is not None or error.status_code == 429:
                    raise BusyError(message, wait_s or 0.0) from None
                raise TransientError(message) from None
            kind = RequestError if error.status_code in REQUEST_STATUS else EngineError
            raise kind(self._without_key(message)) from None
        except (TimeoutError, openai.APITimeoutError):
            raise TransientError(f"no answer within {self._timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            raise TransientError(f"the connection failed: {error.__cause__ or error}") from None
        except (openai.APIResponseValidationError, json.JSONDecodeError):
            raise TransientError("the body is not JSON") from None

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next try: full jitter, and never before the server wants it."""
        error = _error(state)
        return max(self._back_off(state), error.retry_after if isinstance(error, BusyError) else 0.0)

    def _without_key(self, message: str) -> str:
        """Servers quote the key in their messages."""
        return message.replace(self._key, "***") if self._key else message


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _sentence(error: openai.APIStatusError) -> str:
    """What the server says for itself, out of the shapes in which servers say it."""
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body
    return str(body or error.message)[:1000]
