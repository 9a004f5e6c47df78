"""Turns Gemini's schemas, a part of OpenAPI 3.0, into JSON Schema.

Format: https://ai.google.dev/api/caching#Schema
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optimizer.api.gemini.request_reader.fields import camel

_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_NOT_IN_JSON_SCHEMA = frozenset({"nullable", "propertyOrdering", "example"})
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})


def json_schema(schema: Any) -> Any:
    """Return ``schema`` as JSON Schema; JSON Schema itself stays as it is."""
    if not isinstance(schema, Mapping):
        return schema
    result: dict[str, Any] = {}
    for given, value in schema.items():
        name = given if given.startswith("$") else camel(given)
        if name not in _NOT_IN_JSON_SCHEMA and value is not None:
            read = _READERS.get(name)
            converted = value if read is None else read(value)
            if converted is not None:
                result[name] = converted
    return _nullable(result) if schema.get("nullable") is True else result


def _named(value: Any) -> Any:
    # These names are the client's own.
    if not isinstance(value, Mapping):
        return value
    return {name: json_schema(item) for name, item in value.items()}


def _each(value: Any) -> Any:
    return [json_schema(item) for item in value] if isinstance(value, list) else value


def _format(value: Any) -> Any:
    return None if value in ("enum", "") else value


def _count(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 20 else value


def _type(value: Any) -> Any:
    if isinstance(value, list):
        return [_type(item) for item in value]
    if not isinstance(value, str):
        return None
    return value.lower() if value.lower() in _TYPES else None


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null":
        schema["type"] = [kind, "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("properties", "$defs", "defs"), _named),
    **dict.fromkeys(("items", "additionalProperties"), json_schema),
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), _each),
    **dict.fromkeys(_COUNTS, _count),
    "type": _type,
    "format": _format,
}
