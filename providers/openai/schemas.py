"""Make JSON schemas fit for OpenAI's API.

Which schemas it takes: https://platform.openai.com/docs/guides/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COMBINERS = ("anyOf", "oneOf", "allOf")
# A strict schema may have none of these.
_NEVER_STRICT = frozenset(
    {
        "allOf", "oneOf", "not", "dependentRequired", "dependentSchemas", "dependencies", "if",
        "then", "else", "patternProperties", "unevaluatedProperties", "propertyNames",
        "prefixItems", "contains", "minProperties", "maxProperties",
    }
)  # fmt: skip
_OF_SCHEMAS = ("properties", "$defs", "definitions")


def object_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of a function as a schema of type "object".

    OpenAI refuses a combination of schemas at the top: the result has the properties of all.
    It also refuses one without properties:
    https://github.com/langchain-ai/langchain-mcp-adapters/issues/137
    """
    combined = [name for name in _COMBINERS if isinstance(schema.get(name), list)]
    if not combined:
        if schema.get("type") == "object" and isinstance(schema.get("properties"), Mapping):
            return schema
        return {**schema, "type": "object", "properties": _properties(schema)}
    rest = {name: value for name, value in schema.items() if name not in _COMBINERS}
    properties = dict(_properties(schema))
    required = _required(schema)
    for name in combined:
        branches = [branch for branch in schema[name] if isinstance(branch, Mapping)]
        needed = [set(_required(branch)) for branch in branches]
        for branch in branches:
            for key, value in _properties(branch).items():
                properties.setdefault(key, value)
        if needed:
            shared = set.union(*needed) if name == "allOf" else set.intersection(*needed)
            required += sorted(shared - set(required))
    return {**rest, "type": "object", "properties": properties, "required": required}


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the properties; none if the client gave something else."""
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _required(schema: Mapping[str, Any]) -> list[str]:
    """Return the names of the required properties, without what is no name."""
    names = schema.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


class _NotStrict(Exception):
    """The schema has no strict form of the same meaning."""


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return ``schema`` in the form that strict outputs need, ``None`` if its meaning would change.

    Every object gets ``additionalProperties: false``. A property that may be absent, or an
    object that may have others, has no strict form.
    """
    try:
        strict: dict[str, Any] = _strict(schema)
    except _NotStrict:
        return None
    return strict


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if _NEVER_STRICT & schema.keys():
        raise _NotStrict
    strict = dict(schema)
    if _is_object(schema):
        _check_object(schema)
        strict["additionalProperties"] = False
    for name in _OF_SCHEMAS:
        if isinstance(schema.get(name), Mapping):
            strict[name] = {key: _strict(value) for key, value in schema[name].items()}
    for name in ("items", "anyOf"):
        if name in schema:
            strict[name] = _strict(schema[name])
    return strict


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return (
        "properties" in schema or kind == "object" or (isinstance(kind, list) and "object" in kind)
    )


def _check_object(schema: Mapping[str, Any]) -> None:
    """Raise :class:`_NotStrict` if the object may lack a property, or have others."""
    if schema.get("additionalProperties") not in (None, False):
        raise _NotStrict
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        raise _NotStrict
    if not properties and "additionalProperties" not in schema:
        raise _NotStrict
    if set(_required(schema)) != set(properties):
        raise _NotStrict
