"""Schemas of other APIs for our OpenAPI document; the APIs' own documents have the details."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from optimizer.domain.options import MAX_LATENCY_SECONDS

ANY_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}

_OPTIMIZER: dict[str, Any] = {
    "type": "object",
    "nullable": True,
    "description": "Options of this service that the API does not have. Every field is optional.",
    "additionalProperties": False,
    "properties": {
        "quality_target": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Use the cheapest model whose expected quality reaches this value.",
        },
        "max_cost": {
            "type": "number",
            "minimum": 0,
            "description": "USD. Models that may cost more are excluded.",
        },
        "max_latency": {
            "type": "number",
            "minimum": 0,
            "maximum": MAX_LATENCY_SECONDS,
            "description": "Seconds until the answer is complete. Models that are expected to "
            "take longer are excluded; if there is no faster one, the fastest answers.",
        },
        "baseline": {
            "type": "string",
            "description": "The model against which savings are computed.",
        },
        "tags": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 128},
            "maxItems": 20,
        },
        "session_id": {"type": "string", "maxLength": 128},
        "cache_ttl": {"type": "integer", "minimum": 0, "description": "Seconds. 0: do not store."},
        "semantic_cache": {
            "type": "boolean",
            "description": "false: do not use the cached answer to a similar question.",
        },
        "strict": {
            "type": "boolean",
            "description": "true: only models that leave out nothing of the request.",
        },
        "deadline": {
            "description": "Within what the answer is wanted: seconds, a duration (30m, 6h) or a "
            "time with its zone. Requests that can wait may cost less.",
            "oneOf": [{"type": "number", "minimum": 0}, {"type": "string", "minLength": 1}],
        },
        "async": {
            "type": "boolean",
            "description": "true: an id in place of the answer (202) is accepted, if the deadline "
            "is long enough. The header Prefer: respond-async says the same.",
        },
        "webhook": {
            "type": "string",
            "maxLength": 2000,
            "description": "The URL that is called once the answer is there.",
        },
        "read_only_tools": {
            "description": "Tools that only read, so that answers may be cached. true: all tools.",
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
    "max_tokens": {"type": "integer", "minimum": 0},
    "text": {
        "description": "A text or an array of items.",
        "oneOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "object", "required": ["type"]}},
        ],
    },
    "words": {"type": "string", "minLength": 1},
    "documents": {
        "type": "array",
        "minItems": 1,
        "maxItems": 10_000,
        "items": {"oneOf": [{"type": "string"}, {"type": "object"}]},
    },
    "inputs": {
        "oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}],
    },
    "texts": {
        "oneOf": [
            {"type": "string"},
            {"type": "array", "minItems": 1, "items": {"type": "string"}},
            {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
        ]
    },
}


def request_body(required: dict[str, str], **optional: str) -> dict[str, Any]:
    """Return the schema of a JSON body in another API's format, with our extensions.

    ``required`` and ``optional`` map fields to their kinds in :data:`_FIELDS`.
    """
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["model", *required],
        "additionalProperties": True,
        "properties": {
            "model": {
                "type": "string",
                "description": "auto, auto:complexity, auto:cheapest, auto:best or a model's name.",
            },
            **{field: _FIELDS[kind] for field, kind in required.items()},
            **{field: {**_FIELDS[kind], "nullable": True} for field, kind in optional.items()},
            "stream": {"type": "boolean", "default": False, "nullable": True},
            "optimizer": _OPTIMIZER,
        },
    }
    return {"application/json": schema}


def task_body(required: dict[str, str], *, model_required: bool = True) -> dict[str, Any]:
    """Return the schema of a JSON body for a specialised model, with our extensions."""
    names = ["model", *required] if model_required else [*required]
    schema: dict[str, Any] = {
        "type": "object",
        "required": names,
        "additionalProperties": True,
        "properties": {
            "model": {"type": "string", "nullable": not model_required},
            **{field: _FIELDS[kind] for field, kind in required.items()},
            "optimizer": _OPTIMIZER,
        },
    }
    return {"application/json": schema}


def form_body(required: dict[str, str]) -> dict[str, Any]:
    """Return the schema of a form; each of ``required`` is a "file" or a "text"."""
    kinds: dict[str, dict[str, Any]] = {
        "file": {"type": "string", "format": "binary"},
        "text": {"type": "string", "minLength": 1},
    }
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["model", *required],
        "additionalProperties": True,
        "properties": {
            "model": {"type": "string"},
            **{field: kinds[kind] for field, kind in required.items()},
            "optimizer": {"type": "string", "description": "The options, as JSON."},
        },
    }
    return {"multipart/form-data": schema}


GEMINI_BODY: dict[str, Any] = {
    "application/json": {
        "type": "object",
        "additionalProperties": True,
        "properties": {"optimizer": _OPTIMIZER},
    }
}
GEMINI_CONTENTS: dict[str, Any] = {
    "application/json": {
        "type": "object",
        "required": ["contents"],
        "additionalProperties": True,
        "properties": {
            "contents": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "role": {"type": "string"},
                        "parts": {"type": "array", "items": {"type": "object"}},
                    },
                },
            },
            "optimizer": _OPTIMIZER,
        },
    }
}


class GeminiErrorBody(s.Serializer):
    """An error in the format of Google's APIs."""

    error = s.DictField(help_text="code, message, status, details")


class OpenAIErrorBody(s.Serializer):
    """An error in the format of the OpenAI API."""

    error = s.DictField(help_text="message, type, param, code")


class AnthropicErrorBody(s.Serializer):
    """An error in the format of the Anthropic API."""

    type = s.CharField()
    error = s.DictField(help_text="type, message")
    request_id = s.CharField(allow_null=True)


_FAILURES = (400, 402, 403, 404, 413, 415, 429, 503, 504)
# One server-sent event.
_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
_JSON, _STREAM = "application/json", "text/event-stream"


def _responses(failure: type[s.Serializer], *, streams: bool = False) -> dict[Any, Any]:
    # 202: the request is answered later.
    responses: dict[Any, Any] = {(200, _JSON): ANY_OBJECT, (202, _JSON): ANY_OBJECT}
    if streams:
        responses[200, _STREAM] = _EVENT
    return {**responses, **{(status, _JSON): failure for status in _FAILURES}}


OPENAI_RESPONSES = _responses(OpenAIErrorBody)
OPENAI_STREAMS = _responses(OpenAIErrorBody, streams=True)
OPENAI_TEXTS = {**OPENAI_STREAMS, (200, "text/plain"): {"type": "string"}}
OPENAI_AUDIO = {**OPENAI_STREAMS, (200, "audio/mpeg"): {"type": "string", "format": "binary"}}
ANTHROPIC_RESPONSES = _responses(AnthropicErrorBody)
ANTHROPIC_STREAMS = _responses(AnthropicErrorBody, streams=True)
GEMINI_RESPONSES = _responses(GeminiErrorBody)
GEMINI_STREAMS = {
    **_responses(GeminiErrorBody, streams=True),
    (200, _JSON): {"type": "array", "items": ANY_OBJECT},
}
