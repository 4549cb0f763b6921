"""An OpenAI-compatible server on loopback that answers by a function, and fails on purpose.

It speaks chat completions, without streaming, and transcriptions: enough to test a client of one.
"""

import contextlib
import json
import random
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("limit", "error", "hang", "cut", "empty", "text")
"""429 with Retry-After; 500; silence; half of the answer; 200 without a body; 200 with a page of HTML."""

Body = dict[str, Any]


class OpenAIServer:
    """Answers `answer(body)`: a text, or a whole choice. Faults come from `script` first, then by `rate` and seed.

    A fault of the script is a name of FAULTS, "" for none, or (status, body, headers).
    """

    def __init__(
        self,
        answer: Callable[[Body], str | Body] = lambda body: "yes",
        *,
        script: Iterable[Any] = (),
        rate: float = 0.0,
        kinds: tuple[str, ...] = FAULTS,
        seed: int = 1,
    ) -> None:
        self.answer = answer
        self.rate = rate
        self.kinds = kinds
        self.retry_after = "0"
        self.delay_s = 0.0
        self.hang_s = 1.5
        self.bodies: list[Body] = []
        self.keys: list[str] = []
        self.times: list[float] = []
        self.faults: Counter[str] = Counter()
        self.at_once = 0
        """The most requests that were being answered at the same time."""
        self._now = 0
        self._script = deque(script)
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> "OpenAIServer":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail_next(self, *faults: Any) -> None:
        """More faults for the script."""
        self._script.extend(faults)

    def enter(self, body: Body, key: str) -> Any:
        """Note a request; gives its fault, or "" for none."""
        with self._lock:
            self.bodies.append(body)
            self.keys.append(key)
            self.times.append(time.monotonic())
            self._now += 1
            self.at_once = max(self.at_once, self._now)
            if self._script:
                fault = self._script.popleft()
            else:
                fault = self._random.choice(self.kinds) if self._random.random() < self.rate else ""
            if fault:
                self.faults[fault if isinstance(fault, str) else str(fault[0])] += 1
            return fault

    def leave(self) -> None:
        with self._lock:
            self._now -= 1


class _Handler(BaseHTTPRequestHandler):
    owner: OpenAIServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        form = self.headers["Content-Type"].startswith("multipart/form-data")
        body = _fields(self.headers["Content-Type"], data) if form else json.loads(data)
        fault = self.owner.enter(body, self.headers.get("Authorization", ""))
        time.sleep(self.owner.delay_s)
        try:
            self._respond(body, fault)
        finally:
            self.owner.leave()

    def _respond(self, body: Body, fault: Any) -> None:
        if not isinstance(fault, str):
            status, content, headers = fault
            self._send(status, content, headers)
        elif fault == "limit":
            self._send(429, {"error": {"message": "slow down"}}, {"Retry-After": self.owner.retry_after})
        elif fault == "error":
            self._send(500, {"error": {"message": "out of order"}})
        elif fault == "hang":
            time.sleep(self.owner.hang_s)
            self._drop()
        elif fault == "cut":
            self._send(200, self._completion(body), cut=True)
        elif fault == "empty":
            self._send(200, b"")
        elif fault == "text":
            self._send(200, b"<html>Bad gateway</html>", {"Content-Type": "text/html"})
        else:
            self._send(200, self._completion(body))

    def _completion(self, body: Body) -> Body:
        answer = self.owner.answer(body)
        if self.path.endswith("/audio/transcriptions"):
            return {"text": answer} if isinstance(answer, str) else answer
        choice = answer if isinstance(answer, dict) else {"message": {"role": "assistant", "content": answer}}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", **choice}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
        }

    def _send(self, status: int, content: Body | bytes, headers: Any = None, *, cut: bool = False) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        self.wfile.flush()
        if cut:
            self._drop()

    def _drop(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # a client that is gone, or a connection that was dropped
            super().handle()


def _fields(kind: str, data: bytes) -> Body:
    """The parts of a form by name: texts, and files as bytes."""
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + data)
    parts = [(part.get_param("name", header="Content-Disposition"), part) for part in form.iter_parts()]
    return {
        str(name): part.get_payload(decode=True) if part.get_filename() else part.get_payload(decode=True).decode()
        for name, part in parts
    }
