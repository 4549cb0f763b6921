"""A page in a browser that is installed: Chromium without a window, told what to do by the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/ says what the commands and events are. They go through a socket
that the browser has as its files 3 and 4, each with a zero byte at its end.
"""

import base64
import itertools
import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe")
TIMEOUT_S = 120
COMPLAINTS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
NARROW = 600
"""Pixels: below, the window is that of a telephone."""


def installed() -> str | None:
    """Where a browser is; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """A tab of a browser, by the socket to it."""

    def __init__(self, to_browser: socket.socket) -> None:
        self.complaints: list[dict[str, Any]] = []
        """What the pages wrote to the console and threw, and what the browser refused them."""
        self._socket = to_browser
        self._received = b""
        self._numbers = itertools.count(1)
        self._session: dict[str, str] = {}
        self._loaded = False
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        attached = self.tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """A command and its result. Raises RuntimeError where the browser refuses it."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": params} | self._session
        self._socket.sendall(json.dumps(command).encode() + b"\0")
        while (message := self._next()).get("id") != number:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        result: dict[str, Any] = message["result"]
        return result

    def open(self, page: Path, width: int, scheme: str = "light") -> None:
        """Show a page in a window of so many pixels, in a light or a dark scheme, once all of it is there."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < NARROW}
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._loaded = False
        self.tell("Page.navigate", url=page.absolute().as_uri())
        while not self._loaded:
            self._next()

    def evaluate(self, script: str) -> Any:
        """The value of an expression on the page. Raises RuntimeError where it throws."""
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def picture(self) -> bytes:
        """The whole page, as PNG."""
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def _next(self) -> dict[str, Any]:
        """The next message; what belongs to none of ours is kept here."""
        while b"\0" not in self._received:
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise RuntimeError("the browser ended")
            self._received += piece
        told, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(told)
        self._loaded = self._loaded or message.get("method") == "Page.loadEventFired"
        if message.get("method") in COMPLAINTS:
            self.complaints.append(message["params"])
        return message


@contextmanager
def tab(browser: str) -> Iterator[Tab]:
    """An empty tab of a browser of its own, which ends with the block."""
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    end = theirs.fileno()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, ours, theirs:
        command = ["bash", "-c", f'exec "$@" 3<&{end} 4>&{end}', "bash", browser, *OPTIONS]
        with subprocess.Popen(
            [*command, f"--user-data-dir={profile}"], pass_fds=[end], stderr=subprocess.DEVNULL
        ) as process:
            theirs.close()
            try:
                yield Tab(ours)
            finally:
                process.kill()
