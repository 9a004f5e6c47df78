"""Writes a complete answer in the format of Anthropic's Messages API.

Format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optimizer.domain.result import CompletionResult
from providers.chat import Text, Thinking, ToolCall
from providers.completion import AnswerPart, Choice, FinishReason, Usage

_STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "other": "end_turn",
}


def message_id(request_id: object) -> str:
    """Return the id of the message that answers a request."""
    return f"msg_{request_id}"


def message(result: CompletionResult, model: str) -> dict[str, Any]:
    """Return a ``message`` object with the first choice; the API has no field for more.

    ``model`` is the name that the client asked for: agents take another name for a switch.
    """
    completion = result.completion
    choice = completion.choices[0]
    return {
        "id": message_id(result.request_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(_blocks(choice)),
        "stop_reason": stop_reason(
            completion.extra.get("stop_reason"), choice.finish_reason, choice.stop_sequence
        ),
        "stop_sequence": choice.stop_sequence,
        "usage": usage_body(completion.usage),
        **{k: v for k, v in completion.extra.items() if k in {"container", "context_management"}},
    }


def stop_reason(own: str | None, finish: FinishReason, stop_sequence: str | None) -> str:
    """Return the stop reason; ``own`` is one that only this API has, or empty.

    Such a reason came from an Anthropic provider and is passed on unchanged.
    """
    if own:
        return own
    return "stop_sequence" if stop_sequence and finish == "stop" else _STOP[finish]


def _blocks(choice: Choice) -> Iterator[dict[str, Any]]:
    for part in choice.parts:
        if (block := block_of(part)) is not None:
            yield block
    if choice.refusal:
        yield {"type": "text", "text": choice.refusal}


def block_of(part: AnswerPart) -> dict[str, Any] | None:
    """Return a part as a content block; ``None`` if it is empty or belongs to another API."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.input}
    if isinstance(part, Thinking):
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    return dict(part.value) if part.wire == "anthropic" else None


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return the ``usage`` object, in tokens."""
    fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    return {
        # Here input_tokens excludes the tokens read from or written to the prompt cache.
        "input_tokens": max(0, fresh),
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }
