"""Schemas as clients send them, right or wrong: each wire's form of them is made, not an error."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from optimizer.api.gemini.request_reader.schemas import json_schema
from providers.anthropic import schemas as anthropic
from providers.openai import schemas as openai
from tests.fakes.damage import VALUES, Path, paths

_OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
SCHEMA: dict[str, Any] = {
    **_OBJECT,
    "$defs": {"d": {"type": ["string", "null"], "format": "date", "minItems": 1}},
    "additionalProperties": False,
    "anyOf": [_OBJECT, {"$ref": "#/$defs/d"}],
    "oneOf": [_OBJECT],
    "allOf": [_OBJECT, _OBJECT],
    "items": {"type": "STRING", "nullable": True, "enum": ["x"], "maxItems": "3"},
    "description": "A place.",
    "format": "email",
}
FORMS = [
    anthropic.tool_schema, anthropic.strict_schema, openai.object_schema, openai.strict_schema,
    json_schema,
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", list(paths(SCHEMA)), ids=str)
def test_every_schema_has_a_form(form: Callable[[Any], Any], place: Path) -> None:
    for value in (*VALUES, "\u00b2"):
        json.dumps(form(with_value(SCHEMA, place, value)))


def with_value(schema: dict[str, Any], place: Path, value: Any) -> dict[str, Any]:
    """The schema with ``value`` at the place."""
    schema = copy.deepcopy(schema)
    holder: Any = schema
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return schema


@pytest.mark.parametrize("schema", [{"type": "object"}, {}, {"type": "object", "properties": None}])
def test_openai_s_parameters_always_have_properties(schema: dict[str, Any]) -> None:
    # MCP's tools without parameters: https://github.com/containers/kubernetes-mcp-server/issues/340
    assert openai.object_schema(schema) == {"type": "object", "properties": {}}
