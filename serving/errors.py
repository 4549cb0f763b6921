"""What goes wrong, as the OpenAI API says it: a status, a sentence, a type, a code."""

from collections.abc import Sequence
from typing import Any

from loupe.engines.protocol import EngineError, RequestError, UnavailableError

LETTERS_AT_MOST = 500
"""Of an engine's message that are passed on."""


class ApiError(Exception):
    """An answer that is an error. `retry_after` is in seconds; `code` and `param` are the API's own fields."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that clients of the API know how to read."""
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        headers = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


class ReplicaLostError(UnavailableError):
    """The replica that had a request is gone, and the request may be why: clients should not ask again for long."""


TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""Beside invalid_request_error and server_error."""


def bad_request(message: str, param: str | None = None) -> ApiError:
    """Status 400."""
    return ApiError(400, message, param=param)


def unavailable(message: str) -> ApiError:
    """Status 503: whoever asks again in a second may be answered."""
    return ApiError(503, message, code="unavailable", retry_after=1)


def of_engine(error: EngineError, model: str) -> ApiError:
    """The answer to a request that the engine of a model could not answer."""
    message = str(error).strip().partition("\n")[0][:LETTERS_AT_MOST]
    match error:
        case RequestError():
            return bad_request(message)
        case ReplicaLostError():
            return ApiError(503, f"the model {model!r} is not there: {message}", code="unavailable")
        case UnavailableError():
            return unavailable(f"the model {model!r} is not there: {message}")
    return ApiError(500, f"the model {model!r} failed: {message}", code="model_error")


def of_validation(problems: Sequence[Any]) -> ApiError:
    """The answer to a body that is not one, by the first of pydantic's reasons."""
    first = problems[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] == "json_invalid":
        return bad_request(f"the body is not JSON: {first.get('ctx', {}).get('error', 'it cannot be read')}")
    if first["type"] == "extra_forbidden":
        return bad_request(f"{place} is not a parameter that this server knows", place)
    return bad_request(f"{place or 'the body'}: {first['msg']}", place or None)
