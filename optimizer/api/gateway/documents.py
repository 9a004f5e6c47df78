"""Shapes of other APIs for our OpenAPI document. Their own documents have the details."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

ANY_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}

_OPTIMIZER: dict[str, Any] = {
    "type": "object",
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
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 20},
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


def request_body(required: list[str]) -> dict[str, Any]:
    """A JSON body in another API's shape, with our extensions."""
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["model", *required],
        "additionalProperties": True,
        "properties": {
            "model": {
                "type": "string",
                "description": "auto, auto:complexity, auto:cheapest, auto:best, or a model.",
            },
            "stream": {"type": "boolean", "default": False},
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
OPENAI_RESPONSES: dict[int, Any] = {
    200: ANY_OBJECT,
    **dict.fromkeys(_FAILURES, OpenAIErrorBody),
}
ANTHROPIC_RESPONSES: dict[int, Any] = {
    200: ANY_OBJECT,
    **dict.fromkeys(_FAILURES, AnthropicErrorBody),
}
