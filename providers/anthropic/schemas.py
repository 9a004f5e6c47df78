"""Make JSON schemas fit for Anthropic, without changing what they mean more than they must.

Limits: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_COMBINED = ("anyOf", "oneOf", "allOf")
_FORMATS = frozenset(
    {
        "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6",
        "uuid",
    }
)  # fmt: skip
# Words that are kept as they are in a schema of an answer.
_KEPT = frozenset({"$ref", "type", "enum", "const", "description", "title", "default", "required"})


def tool_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's schema with ``type: object`` and without alternatives at the top.

    The alternatives move into the description, so that the model still knows of them.
    """
    fitted = {word: value for word, value in schema.items() if word not in _COMBINED}
    moved = {word: schema[word] for word in _COMBINED if schema.get(word)}
    fitted["type"] = "object"
    given = fitted.get("properties")
    properties = dict(given) if isinstance(given, Mapping) else {}
    for word in _COMBINED:
        for branch in moved.get(word, ()) if isinstance(moved.get(word), list) else ():
            if isinstance(branch, Mapping) and isinstance(branch.get("properties"), Mapping):
                properties = {**branch["properties"], **properties}
    fitted["properties"] = properties
    if moved:
        _add_to_description(fitted, moved)
    return fitted


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that a grammar can be made of.

    Every object forbids further properties, and the words that are not supported move into
    the description.
    """
    fitted: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for word, value in schema.items():
        if word in {"properties", "$defs", "definitions"} and isinstance(value, Mapping):
            fitted[word] = {name: _strict(inner) for name, inner in value.items()}
        elif word in {"anyOf", "allOf", "oneOf"} and isinstance(value, list):
            fitted["anyOf" if word == "oneOf" else word] = [_strict(inner) for inner in value]
        elif word == "items":
            fitted[word] = _strict(value)
        elif _is_supported(word, value):
            fitted[word] = value
        elif word not in {"additionalProperties", "$schema", "$id", "strict"}:
            moved[word] = value
    if _is_object(fitted):
        fitted["additionalProperties"] = False
        fitted.setdefault("properties", {})
    if moved:
        _add_to_description(fitted, moved)
    return fitted


def _is_supported(word: str, value: Any) -> bool:
    if word == "format":
        return isinstance(value, str) and value in _FORMATS
    return word in _KEPT or (word == "minItems" and value in (0, 1))


def _strict(schema: Any) -> Any:
    return strict_schema(schema) if isinstance(schema, Mapping) else schema


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return (
        kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind)
    )


def _add_to_description(schema: dict[str, Any], words: Mapping[str, Any]) -> None:
    text = json.dumps(words, ensure_ascii=False, default=str)
    description = schema.get("description")
    schema["description"] = f"{description}\n\n{text}" if description else text
