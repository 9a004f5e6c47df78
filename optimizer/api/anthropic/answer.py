"""Writes a complete answer in the format of Anthropic's Messages API.

Format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optimizer.api.anthropic.reasoning import Author, blocks_of_call
from optimizer.domain.result import CompletionResult
from providers.chat import Text, Thinking, ToolCall
from providers.completion import AnswerPart, Choice, FinishReason, Usage

_STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "end_turn",
    "content_filter": "refusal",
    "other": "end_turn",
}


def message_id(request_id: object) -> str:
    """Return the id of the message that answers a request."""
    return f"msg_{request_id}"


def message(result: CompletionResult, model: str, author: Author) -> dict[str, Any]:
    """Return a ``message`` object with the first choice; the API has no field for more.

    ``model`` is the name that the client asked for: agents take another name for a switch.
    ``author`` is who answered.
    """
    completion = result.completion
    choice = completion.choices[0]
    extra = completion.extra if author.own else {}
    return {
        "id": message_id(result.request_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(_blocks(choice, author)),
        "stop_reason": stop_reason(
            extra.get("stop_reason"),
            choice.finish_reason,
            choice.stop_sequence,
            called=bool(choice.tool_calls),
        ),
        "stop_sequence": choice.stop_sequence,
        "usage": usage_body(completion.usage),
        **{k: v for k, v in extra.items() if k != "stop_reason"},
    }


def stop_reason(
    own: str | None, finish: FinishReason, stop_sequence: str | None, *, called: bool
) -> str:
    """Return the stop reason; ``own`` is one that only this API has, or empty.

    Such a reason came from an Anthropic provider and is passed on unchanged. ``called`` is
    whether the answer calls tools: clients run them only if the reason says so.
    """
    if own:
        return own
    if called and finish in {"stop", "tool_calls", "other"}:
        return "tool_use"
    return "stop_sequence" if stop_sequence and finish == "stop" else _STOP[finish]


def _blocks(choice: Choice, author: Author) -> Iterator[dict[str, Any]]:
    for part in choice.parts:
        yield from blocks_of(part, author)
    if choice.refusal:
        yield {"type": "text", "text": choice.refusal}


def blocks_of(part: AnswerPart, author: Author) -> Iterator[dict[str, Any]]:
    """Yield a part as content blocks; nothing if it is empty or belongs to another API."""
    if isinstance(part, Text):
        if part.text:
            yield {"type": "text", "text": part.text}
    elif isinstance(part, ToolCall):
        yield from blocks_of_call(author, part)
    elif isinstance(part, Thinking):
        if (block := author.block(part)) is not None:
            yield block
    elif part.wire == "anthropic":
        yield dict(part.value)
    elif part.text:
        yield {"type": "text", "text": part.text}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return the ``usage`` object, in tokens."""
    fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    body: dict[str, Any] = {
        # Here input_tokens excludes the tokens read from or written to the prompt cache.
        "input_tokens": max(0, fresh),
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.cache_write_tokens:
        hour = usage.cache_write_1h_tokens
        body["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens - hour,
            "ephemeral_1h_input_tokens": hour,
        }
    if usage.reasoning_tokens:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return body
