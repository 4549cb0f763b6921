"""Who may ask, and how much: the outermost layer of the front.

Without a token only this machine is answered, whatever address Serve was bound to (`serve build` writes 0.0.0.0 into
its files), and only under a name of this machine: a page in a browser here must not reach the models by a name that
it lets point here.
"""

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from loupe.config import LOOPBACK, ConfigError, Serving
from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from serving.errors import ApiError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def token_digest(serving: Serving) -> str | None:
    """The SHA-256 of the token that the config asks for; what is compared, so that Ray never holds the token itself.

    Raises ConfigError where the config names an environment variable that holds nothing, and where it names none and
    Serve's HAProxy would listen to every machine and hide which one asks.
    """
    if serving.token_env is None:
        if os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1":
            raise ConfigError("other machines can reach Serve's HAProxy: serving.token_env must name a token")
        return None
    token = os.environ.get(serving.token_env, "").strip()
    if not token:
        raise ConfigError(
            f"serving.token_env names {serving.token_env}, which is not set: without its token nothing is served"
        )
    return sha256(token.encode()).hexdigest()


class Guard:
    """Lets a request pass with its body read, or answers it with an error.

    `token` is the digest of the bearer token, or None where only this machine is answered.
    """

    def __init__(self, app: App, *, token: str | None, body_bytes: int) -> None:
        self._app = app
        self._token = token
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        try:
            check_caller(scope, self._token)
            body = await read_body(receive, Headers(scope=scope), self._body_bytes)
        except ApiError as error:
            return await JSONResponse(error.body, error.status, error.headers)(scope, receive, send)
        return await self._app(scope, _replay(body, receive), send)


def check_caller(scope: Scope, token: str | None) -> None:
    """Raises ApiError 401 for a wrong token; without a token, 403 for any other machine."""
    headers = Headers(scope=scope)
    if token is not None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        digest = sha256(given.strip().encode()).hexdigest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(digest, token):
            raise ApiError(401, "this server wants its bearer token", code="invalid_api_key")
    elif not (_is_here(scope.get("client")) and _host(headers) in LOOPBACK):
        raise ApiError(403, "this server has no token, so it answers its own machine alone", code="no_token")


def _is_here(client: tuple[str, int] | None) -> bool:
    try:
        address = ip_address(client[0]) if client else None
    except ValueError:
        return False
    return address is not None and (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _host(headers: Headers) -> str:
    host = headers.get("host", "")
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The body, whole. Raises ApiError 413 for one of more than `limit` bytes, as soon as it is known to be."""
    too_large = ApiError(413, f"the body has more than {limit} bytes", code="request_too_large")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_large
        if not message.get("more_body"):  # http.disconnect has none
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Any:
        return next(messages, None) or await receive()

    return replay
