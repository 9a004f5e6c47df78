"""Read Anthropic's answers: a whole ``message``, and the pieces that its stream shares.

Wire: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from providers.chat import Text, Thinking, ToolCall
from providers.completion import (
    AnswerPart,
    Choice,
    Completion,
    CompletionRequest,
    FinishReason,
    Opaque,
    complete_usage,
)
from providers.usage import read_usage

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def read_message(provider: str, request: CompletionRequest, body: dict[str, Any]) -> Completion:
    """Return the completion in ``body``, a ``message`` object.

    Raises ``KeyError``, ``TypeError`` and the like if the body has an unexpected shape.
    """
    choice = Choice(
        parts=tuple(_part(block) for block in body["content"]),
        finish_reason=FINISH.get(body.get("stop_reason") or "", "other"),
        stop_sequence=body.get("stop_sequence"),
    )
    return Completion(
        provider=provider,
        model=request.model,
        choices=(choice,),
        usage=complete_usage(read_usage(body), request.chat, (choice,)),
        response_id=body.get("id"),
        extra=dict(_extra_fields(body)),
    )


def _extra_fields(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    # A stop reason that only this wire knows is passed on unchanged to clients of this wire.
    if body.get("stop_reason") and body["stop_reason"] not in FINISH:
        yield "stop_reason", body["stop_reason"]
    for name in ("container", "context_management"):
        if body.get(name) is not None:
            yield name, body[name]


def _part(block: dict[str, Any]) -> AnswerPart:
    kind = block["type"]
    if kind == "text":
        if block.get("citations"):
            return Opaque("anthropic", block, block["text"])
        return Text(block["text"])
    if kind == "tool_use":
        return ToolCall(block["id"], block["name"], json.dumps(block.get("input") or {}))
    if kind == "thinking":
        return Thinking(block["thinking"], block.get("signature") or "")
    if kind == "redacted_thinking":
        return Thinking(redacted=block["data"])
    return Opaque("anthropic", block)
