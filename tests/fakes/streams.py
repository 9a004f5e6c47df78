"""Answers as the three wires stream them: each takes a whole answer and cuts it into messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any


def sse(data: Any, event: str = "") -> bytes:
    """One server-sent event. ``data`` is JSON unless it is text already."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


def pieces(text: str, size: int = 7) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


_TOWER = re.compile(rb'"((?:[^"\\]|\\.)*)\\ud83d\\uddfc((?:[^"\\]|\\.)*)"')


def torn(chunks: list[bytes], size: int = 3) -> list[bytes]:
    """The same stream in chunks of ``size`` bytes, and each U+1F5FC in two messages, a
    surrogate in each."""
    messages = []
    for message in b"".join(chunks).split(b"\n\n"):
        if found := _TOWER.search(message):
            before, after = message[: found.start()], message[found.end() :]
            messages.append(before + b'"' + found[1] + b'\\ud83d"' + after)
            message = before + b'"\\uddfc' + found[2] + b'"' + after
        messages.append(message)
    raw = b"\n\n".join(messages)
    return [raw[start : start + size] for start in range(0, len(raw), size)]


def openai_stream(body: dict[str, Any], *, usage: bool = True, done: bool = True) -> list[bytes]:
    """``chat.completion.chunk`` messages that spell the completion ``body``."""
    head = {k: v for k, v in body.items() if k not in {"choices", "usage", "object"}}
    head["object"] = "chat.completion.chunk"

    def chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
        return sse({**head, "choices": choices, **more})

    found = []
    for choice in body["choices"]:
        index, message = choice.get("index", 0), choice["message"]

        def delta(index: int = index, finish: str | None = None, **fields: Any) -> bytes:
            return chunk([{"index": index, "delta": fields, "finish_reason": finish}])

        found.append(delta(role="assistant", content=""))
        found += [delta(content=piece) for piece in pieces(message.get("content") or "")]
        if message.get("refusal"):
            found.append(delta(refusal=message["refusal"]))
        for place, call in enumerate(message.get("tool_calls") or ()):
            function = call["function"]
            opening = {**call, "index": place, "function": {**function, "arguments": ""}}
            found.append(delta(tool_calls=[opening]))
            found += [
                delta(tool_calls=[{"index": place, "function": {"arguments": piece}}])
                for piece in pieces(function["arguments"])
            ]
        found.append(delta(finish=choice.get("finish_reason")))
    if usage and body.get("usage"):
        # The chunk with the usage has no choice.
        found.append(chunk([], usage=body["usage"]))
    return [*found, sse("[DONE]")] if done else found


def anthropic_stream(body: dict[str, Any], *, usage: bool = True) -> list[bytes]:
    """The events that spell the message ``body``."""
    reported = body.get("usage") or {}
    start = {**body, "content": [], "stop_reason": None}
    start["usage"] = {**reported, "output_tokens": 1} if usage else None
    found = [
        sse({"type": "message_start", "message": start}, "message_start"),
        sse({"type": "ping"}, "ping"),
    ]
    for index, block in enumerate(body["content"]):

        def event(kind: str, index: int = index, **fields: Any) -> bytes:
            return sse({"type": kind, "index": index, **fields}, kind)

        def deltas(kind: str, field: str, text: str, event: Any = event) -> list[bytes]:
            return [
                event("content_block_delta", delta={"type": kind, field: piece})
                for piece in pieces(text)
            ]

        if block["type"] == "text":
            found.append(event("content_block_start", content_block={**block, "text": ""}))
            found += deltas("text_delta", "text", block["text"])
        elif block["type"] == "tool_use":
            found.append(event("content_block_start", content_block={**block, "input": {}}))
            found += deltas("input_json_delta", "partial_json", json.dumps(block["input"]))
        elif block["type"] == "thinking":
            empty = {**block, "thinking": "", "signature": ""}
            found.append(event("content_block_start", content_block=empty))
            found += deltas("thinking_delta", "thinking", block["thinking"])
            sealed = {"type": "signature_delta", "signature": block["signature"]}
            found.append(event("content_block_delta", delta=sealed))
        else:
            found.append(event("content_block_start", content_block=block))
        found.append(event("content_block_stop"))
    ending = {k: body.get(k) for k in ("stop_reason", "stop_sequence")}
    last: dict[str, Any] = {"type": "message_delta", "delta": ending}
    if usage:
        last["usage"] = {"output_tokens": reported["output_tokens"]}
    return [*found, sse(last, "message_delta"), sse({"type": "message_stop"}, "message_stop")]


def gemini_stream(body: dict[str, Any], *, usage: bool = True) -> list[bytes]:
    """``GenerateContentResponse`` messages that spell ``body``."""
    head = {k: v for k, v in body.items() if k not in {"candidates", "usageMetadata"}}
    found = []
    for candidate in body["candidates"]:
        parts = candidate["content"]["parts"]
        split = [
            {**part, "text": piece}
            for part in parts
            if "text" in part
            for piece in pieces(part["text"])
        ] + [part for part in parts if "text" not in part]
        for part in split:
            content = {"parts": [part], "role": "model"}
            found.append(
                {**head, "candidates": [{"content": content, "index": candidate.get("index", 0)}]}
            )
        found.append(
            {
                **head,
                "candidates": [
                    {
                        "content": {"parts": [{"text": ""}], "role": "model"},
                        "finishReason": candidate.get("finishReason"),
                        "index": candidate.get("index", 0),
                    }
                ],
            }
        )
    if usage:
        found[-1]["usageMetadata"] = body["usageMetadata"]
    return [sse(message) for message in found]
