"""Shapes of other APIs for our OpenAPI document. Their own documents have the details."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

ANY_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}

_OPTIMIZER: dict[str, Any] = {
    "type": "object",
    "nullable": True,
    "description": "What this service understands beyond the API. Every field is optional.",
    "additionalProperties": False,
    "properties": {
        "quality_target": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "The cheapest model whose expected quality clears this is taken.",
        },
        "max_cost": {
            "type": "number",
            "minimum": 0,
            "description": "USD; models that might cost more take no part.",
        },
        "baseline": {"type": "string", "description": "The model to reckon savings against."},
        "tags": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 128},
            "maxItems": 20,
        },
        "session_id": {"type": "string", "maxLength": 128},
        "cache_ttl": {"type": "integer", "minimum": 0, "description": "Seconds; 0: not kept."},
        "semantic_cache": {
            "type": "boolean",
            "description": "false: no answer to the same question in other words.",
        },
        "read_only_tools": {
            "description": "Tools whose calls change nothing, so that answers may be cached.",
            "oneOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}],
        },
    },
}


for _field in _OPTIMIZER["properties"].values():
    _field["nullable"] = True

_FIELDS: dict[str, dict[str, Any]] = {
    "messages": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["role"],
            "properties": {"role": {"type": "string"}, "content": {}},
        },
    },
    "max_tokens": {"type": "integer", "minimum": 1},
    "text": {
        "description": "A text, or items.",
        "oneOf": [
            {"type": "string"},
            {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["type"]}},
        ],
    },
    "texts": {
        "oneOf": [
            {"type": "string"},
            {"type": "array", "minItems": 1, "items": {"type": "string"}},
            {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
        ]
    },
}


def request_body(required: dict[str, str]) -> dict[str, Any]:
    """A JSON body in another API's shape, with our extensions. ``required`` maps its fields to
    what they are, as :data:`_FIELDS` says; their own documents say more.
    """
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["model", *required],
        "additionalProperties": True,
        "properties": {
            "model": {
                "type": "string",
                "description": "auto, auto:complexity, auto:cheapest, auto:best, or a model.",
            },
            **{field: _FIELDS[kind] for field, kind in required.items()},
            "stream": {"type": "boolean", "default": False, "nullable": True},
            "optimizer": _OPTIMIZER,
        },
    }
    return {"application/json": schema}


class OpenAIErrorBody(s.Serializer):
    error = s.DictField(help_text="message, type, param, code")


class AnthropicErrorBody(s.Serializer):
    type = s.CharField()
    error = s.DictField(help_text="type, message")
    request_id = s.CharField(allow_null=True)


_FAILURES = (400, 404, 413, 415, 429, 503, 504)
# One server-sent event.
_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
_JSON, _STREAM = "application/json", "text/event-stream"


def _responses(failure: type[s.Serializer], *, streams: bool = False) -> dict[Any, Any]:
    found: dict[Any, Any] = {(200, _JSON): ANY_OBJECT}
    if streams:
        found[200, _STREAM] = _EVENT
    return {**found, **{(status, _JSON): failure for status in _FAILURES}}


OPENAI_RESPONSES = _responses(OpenAIErrorBody)
OPENAI_STREAMS = _responses(OpenAIErrorBody, streams=True)
ANTHROPIC_RESPONSES = _responses(AnthropicErrorBody)
ANTHROPIC_STREAMS = _responses(AnthropicErrorBody, streams=True)
