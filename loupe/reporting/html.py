"""Markup that is escaped by construction: what is not markup already is text."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape

VOID = ("meta", "input", "br")


class Html(str):
    """Markup, made by `tag` alone."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def tag(element: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """An element. Text is escaped, markup is not; None is nothing.

    `class_` and `aria_label` stand for class and aria-label; a true attribute has no value, a false one or None is left
    out.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{element}{told}>" + ("" if element in VOID else f"{join(children)}</{element}>"))


def join(children: Child) -> Html:
    """Text and markup in a row."""
    if children is None:
        return Html()
    if isinstance(children, Html):
        return children
    if isinstance(children, str | int | float):
        return Html(escape(str(children), quote=False))
    return Html("".join(join(child) for child in children))


def _attribute(key: str, value: str | int | float | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def own(name: str, text: str) -> tuple[Html, str]:
    """A style or script of ours as an element, as it stands, and the source that a security policy allows it by."""
    if f"</{name}" in text.lower():
        raise ValueError(f"a {name} that would end itself")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Html(f"<{name}>{text}</{name}>"), f"'sha256-{digest}'"
