"""An upstream on the OpenAI wire: raw ASGI, one ready answer, at once or as a stream.

A stream has as many tokens as the request's ``max_tokens``. ``UPSTREAM_FIRST_MS``
and ``UPSTREAM_GAP_MS`` are its time to the first token and between two, ``UPSTREAM_MS``
how long a whole answer takes.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

_HEAD = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": "openai/gpt-oss-20b"}
_BODY = json.dumps(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The capital of France is Paris."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29},
    }
).encode()
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
]
# What else is asked of a provider, by the end of the path.
_OTHERS: dict[str, Any] = {
    "/messages": {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "The capital of France is Paris."}],
        "usage": {"input_tokens": 20, "output_tokens": 9},
    },
    "/count_tokens": {"input_tokens": 20},
    "/input_tokens": {"object": "response.input_tokens", "input_tokens": 20},
    "/responses": {
        "id": "r", "object": "response", "status": "completed", "model": "m",
        "output": [{"type": "message", "id": "o", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "Paris.", "annotations": []}]}],
        "usage": {"input_tokens": 20, "output_tokens": 9, "total_tokens": 29},
    },
    "/completions": {
        "object": "text_completion", "choices": [{"text": "Paris.", "finish_reason": "stop"}],
    },
    "/embeddings": {
        "object": "list", "model": "m", "usage": {"prompt_tokens": 20, "total_tokens": 20},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5] * 256}],
    },
    ":batchEmbedContents": {"embeddings": [{"values": [0.5] * 256}]},
    ":countTokens": {"totalTokens": 20},
    ":generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Paris."}]},
                        "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 9},
    },
}  # fmt: skip
_WHOLE = float(os.environ.get("UPSTREAM_MS", "0")) / 1000
_FIRST = float(os.environ.get("UPSTREAM_FIRST_MS", "0")) / 1000
_GAP = float(os.environ.get("UPSTREAM_GAP_MS", "0")) / 1000


def _chunk(**fields: Any) -> bytes:
    body = {**_HEAD, "object": "chat.completion.chunk", **fields}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


# Two that take turns: there are gateways that end a stream which repeats itself.
_TOKENS = [
    _chunk(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])
    for text in (" token", " tokens")
]


async def read_body(receive: Any) -> bytes:
    """A request's body, to its end."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the request to its end, then answer."""
    if scope["type"] != "http":
        return
    body = await read_body(receive)
    asked = json.loads(body or b"{}")
    if asked.get("stream"):
        await _stream(asked, send)
        return
    if _WHOLE:
        await asyncio.sleep(_WHOLE)
    if not scope["path"].endswith("/chat/completions"):
        await _other(scope["path"], send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


async def _other(path: str, send: Any) -> None:
    answer = next((value for end, value in _OTHERS.items() if path.endswith(end)), None)
    status, body = (404, b"{}") if answer is None else (200, json.dumps(answer).encode())
    kind = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": kind})
    await send({"type": "http.response.body", "body": body})


async def _stream(asked: dict[str, Any], send: Any) -> None:
    tokens = asked.get("max_tokens") or 100
    kind = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    await asyncio.sleep(_FIRST)
    for number in range(tokens):
        if number:
            await asyncio.sleep(_GAP)
        await send({"type": "http.response.body", "body": _TOKENS[number % 2], "more_body": True})
    usage = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
    end = _chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    end += _chunk(choices=[], usage=usage) + b"data: [DONE]\n\n"
    await send({"type": "http.response.body", "body": end})
