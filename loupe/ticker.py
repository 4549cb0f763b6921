"""A line now and then while something runs."""

import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Ticker:
    """Prints a line to standard error every `seconds`, from a thread of its own, as long as its block runs."""

    def __init__(self, line: Callable[[], str], seconds: float) -> None:
        self._line = line
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            print(self._line(), file=sys.stderr, flush=True)
