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
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


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
