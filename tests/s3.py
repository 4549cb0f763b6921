"""An S3 server on loopback, and a proxy before it that fails on purpose.

`python tests/s3.py` serves until its standard input closes, so it never outlives the test run that started it.
"""

import contextlib
import http.client
import io
import logging
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FAULTS = ("slow_down", "reset", "lost", "timeout", "cut")
"""503 before the request is carried out; a reset before; a reset after; silence after; half of the answer."""

PAGE = 100
"""Keys that the server lists at once; on AWS they are 1,000."""

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


@dataclass(frozen=True)
class S3:
    """An empty bucket at an endpoint, and the environment that leads there."""

    endpoint: str
    bucket: str
    proxy: "FaultyProxy | None" = None

    @property
    def root(self) -> str:
        return f"s3://{self.bucket}"

    @property
    def env(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "LOUPE_S3_TIMEOUT_S": "1" if self.proxy else "20",
        }


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """Run moto in a process of its own; gives its endpoint."""
    command = [sys.executable, str(Path(__file__).resolve())]
    env = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def make_bucket(endpoint: str, bucket: str) -> None:
    """Make a bucket; moto asks for no signature."""
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")):
        pass


class FaultyProxy:
    """Passes requests on to an endpoint, and fails the share `rate` of them in one of the ways of FAULTS.

    The sequence of faults follows from the seed. All that is set here may be changed while it runs.
    """

    def __init__(self, upstream: str, rate: float, seed: int, kinds: tuple[str, ...] = FAULTS) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.rate = rate
        self.kinds = kinds
        self.aim = ""
        """A pattern that "METHOD /path" of a request must match to be failed."""
        self.retry_after: str | None = None
        self.silence_s = 1.5
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def draw(self, request: str) -> str | None:
        """The fault of the next request, "METHOD /path", if it has one."""
        with self._lock:
            self.requests += 1
            if not re.search(self.aim, request) or self._random.random() >= self.rate:
                return None
            fault = self._random.choice(self.kinds)
            self.faults[fault] += 1
            return fault


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self._body()
        fault = self.proxy.draw(f"{self.command} {self.path}")
        if fault == "slow_down":
            self._slow_down()
        elif fault == "reset":
            self._reset()
        else:
            with contextlib.suppress(BrokenPipeError):  # the client gave up first
                self._pass_on(body, fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _slow_down(self) -> None:
        self.send_response(503)
        if self.proxy.retry_after is not None:
            self.send_header("Retry-After", self.proxy.retry_after)
        self.send_header("Content-Length", str(len(SLOW_DOWN)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(SLOW_DOWN)

    def _pass_on(self, body: bytes, fault: str | None) -> None:
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        skip = ("connection", "transfer-encoding", "content-length", "expect")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in skip}
        upstream.request(self.command, self.path, body or None, {**headers, "Content-Length": str(len(body))})
        response = upstream.getresponse()
        data = response.read()
        upstream.close()
        if fault == "lost":
            self._reset()
            return
        if fault == "timeout":
            time.sleep(self.proxy.silence_s)
            self._reset()
            return
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if fault == "cut":
            self.wfile.write(data[: len(data) // 2])
            self._reset()
            return
        self.wfile.write(data)

    def _reset(self) -> None:
        """End the connection with RST and not with FIN."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


def one_at_a_time(app: Callable[..., object]) -> Callable[..., object]:
    """A WSGI app that handles one request at a time.

    moto checks the condition of a PUT and then writes, with nothing between threads: of 150 keys that six clients made
    at once with If-None-Match, two or three had two winners. On S3 that is one step.
    """
    lock = threading.Lock()

    def locked(environ: dict[str, object], start_response: Callable[..., object]) -> object:
        ends = environ.get("wsgi.input_terminated")
        body = environ["wsgi.input"].read(*[] if ends else [int(environ.get("CONTENT_LENGTH") or 0)])
        environ["wsgi.input"] = io.BytesIO(body)  # before the lock: a client that stops halfway stops nobody else
        with lock:
            return app(environ, start_response)

    return locked


def main() -> None:
    """Serve until standard input closes."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    os._exit(0)  # at once: an interpreter that ends in order takes seconds here


if __name__ == "__main__":
    main()
