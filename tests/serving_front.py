"""The front of served models on loopback without Ray, and the official client."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import openai
import uvicorn

from loupe.config import Serving
from loupe.engines.protocol import Engine
from loupe.engines.scripted import ScriptedEngine, digest
from serving.front import EmbeddingEngine, Voices, build_front


def voices(engine: Engine | None = None, embedder: EmbeddingEngine | None = None) -> Voices:
    """One chat model, `tiny`, that has the roles vlm and critic; an embedder, `words`, if there is one."""
    embedding = {"words": embedder} if embedder else {}
    return Voices({"tiny": engine or ScriptedEngine(digest)}, embedding, {"vlm": "tiny", "critic": "tiny"})


@contextlib.contextmanager
def front(what: Voices, *, token: str | None = None, host: str = "127.0.0.1", **settings: Any) -> Iterator[str]:
    """The front at a free port; gives its address. `token` is the digest of the bearer token."""
    with socket.socket() as listening:
        listening.bind((host, 0))
        listening.listen()  # who comes before the server waits
        app = build_front(what, Serving(**settings), token)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{listening.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


def client(url: str, key: str = "none") -> openai.OpenAI:
    """The official client, which tries once."""
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60)


def post(url: str, body: Any, **headers: str) -> httpx.Response:
    """A body as it stands, which no client would send."""
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    return httpx.post(f"{url}/chat/completions", headers={"Content-Type": "application/json", **headers}, **content)
