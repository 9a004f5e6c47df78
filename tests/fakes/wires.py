"""The wires: what a request must look like to be served, and the answer's exact shape."""

from __future__ import annotations

import base64
import itertools
import re
import struct
from typing import Any

from tests.fakes.server import Asked, Reply, Wire
from tests.fakes.streams import anthropic_stream, gemini_stream, openai_stream

KEY = "dummy-key-for-tests"
ANSWER = "The capital of France is Paris."
_numbers = itertools.count(1)


def openai_completion(model: str, text: str | None = ANSWER, **changes: Any) -> dict[str, Any]:
    """A ``chat.completion`` object: 20 input tokens, of which 4 cached; 9 output, 2 reasoning."""
    return {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 9,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
        },
        **changes,
    }


def anthropic_message(model: str, text: str = ANSWER, **changes: Any) -> dict[str, Any]:
    """A ``message`` object: 13 fresh input tokens, 4 read from and 3 written to the cache."""
    return {
        "id": f"msg_{next(_numbers)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text, "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 13,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 3,
            "output_tokens": 9,
        },
        **changes,
    }


def gemini_response(model: str, text: str = ANSWER, **changes: Any) -> dict[str, Any]:
    """A ``GenerateContentResponse``: 20 input tokens, 4 cached; 7 output and 2 of thinking."""
    return {
        "candidates": [
            {
                "content": {"parts": [{"text": text}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 20,
            "cachedContentTokenCount": 4,
            "candidatesTokenCount": 7,
            "thoughtsTokenCount": 2,
            "totalTokenCount": 29,
        },
        "modelVersion": model,
        "responseId": f"resp-{next(_numbers)}",
        **changes,
    }


def openai_error(status: int, code: str = "error") -> Reply:
    body = {"error": {"message": "as told", "type": code, "param": None, "code": code}}
    return Reply(body, status)


def as_asked(asked: Asked, body: dict[str, Any], **how: Any) -> Reply:
    """``body`` whole or streamed, as the request wants it."""
    if "streamGenerateContent" in asked.path:
        return Reply(chunks=gemini_stream(body, **how))
    if not asked.body.get("stream"):
        return Reply(body)
    if "choices" not in body:
        return Reply(chunks=anthropic_stream(body, **how))
    # Usage comes at the end only where it was asked for.
    asked_for = (asked.body.get("stream_options") or {}).get("include_usage", False)
    return Reply(chunks=openai_stream(body, **{"usage": asked_for, **how}))


def openai_wire(*, max_tokens_field: str = "max_tokens") -> Wire:
    """Chat completions, strict about the key and the name of the completion's bound."""

    def answer(asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return openai_error(401, "invalid_api_key")
        if not asked.path.endswith("/chat/completions"):
            return openai_error(404, "not_found")
        other = {"max_tokens", "max_completion_tokens"} - {max_tokens_field}
        if other & set(asked.body) or not isinstance(asked.body.get(max_tokens_field, 1), int):
            return openai_error(400, "unsupported_parameter")
        if not asked.body["messages"]:
            return openai_error(400, "invalid_messages")
        return as_asked(asked, openai_completion(asked.body["model"]))

    return answer


def embeddings_wire(asked: Asked) -> Reply:
    """OpenAI's embeddings, of two dimensions: floats, or base64 where that is asked for."""
    if asked.headers.get("authorization") != f"Bearer {KEY}":
        return openai_error(401, "invalid_api_key")
    if not asked.path.endswith("/embeddings"):
        return openai_error(404, "not_found")
    given = asked.body["input"]
    vector: Any = [0.5, -0.25]
    if asked.body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index in range(len(given) if isinstance(given, list) else 1)
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return Reply({"object": "list", "data": data, "model": asked.body["model"], "usage": usage})


def anthropic_wire(asked: Asked) -> Reply:
    """Messages, strict about key, version header and ``max_tokens``."""

    def error(status: int, kind: str) -> Reply:
        return Reply({"type": "error", "error": {"type": kind, "message": "as told"}}, status)

    if asked.headers.get("x-api-key") != KEY:
        return error(401, "authentication_error")
    version = asked.headers.get("anthropic-version", "")
    if not re.fullmatch(r"20\d\d-\d\d-\d\d", version) or "max_tokens" not in asked.body:
        return error(400, "invalid_request_error")
    if asked.path != "/v1/messages":
        return error(404, "not_found_error")
    return as_asked(asked, anthropic_message(asked.body["model"]))


def gemini_wire(asked: Asked) -> Reply:
    """generateContent, strict about key, path and body."""
    if asked.headers.get("x-goog-api-key") != KEY:
        details = [{"reason": "API_KEY_INVALID"}]
        return Reply(
            {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": details}}, 400
        )
    prefix, _, call = asked.path.rpartition("/")
    model, _, method = call.partition(":")
    if prefix != "/v1beta/models" or method not in {"generateContent", "streamGenerateContent"}:
        return Reply({"error": {"code": 404, "status": "NOT_FOUND"}}, 404)
    if not asked.body["contents"]:
        return Reply({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400)
    return as_asked(asked, gemini_response(model))
