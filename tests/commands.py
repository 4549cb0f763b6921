"""Commands of ours, called in this process."""

import sys
from collections.abc import Callable

import pytest


def call(main: Callable[[], None], argv: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a command's main with these arguments; gives its exit code."""
    monkeypatch.setattr(sys, "argv", argv)
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0
