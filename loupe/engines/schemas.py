"""JSON schemas as those take them who hold a model to them."""

from collections.abc import Sequence
from typing import Any


def without_string_lengths(schema: Any) -> Any:
    """The schema with minLength and maxLength taken from its strings, at any depth: whoever parses holds to them."""
    if isinstance(schema, list):
        return [without_string_lengths(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"minLength", "maxLength"} if schema.get("type") == "string" else set()
    return {name: without_string_lengths(part) for name, part in schema.items() if name not in dropped}


def with_enum(schema: dict[str, Any], name: str, values: Sequence[str]) -> dict[str, Any]:
    """An object's schema in which the property `name` is one of these strings."""
    return schema | {"properties": schema["properties"] | {name: {"type": "string", "enum": list(values)}}}
