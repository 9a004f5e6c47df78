"""Token counts where a provider reports none, and the care for those that it reports."""

from __future__ import annotations

from typing import Any

from providers.chat import Chat, ToolCall, estimate_tokens
from providers.completion import Choice, Usage

_MOST_TOKENS = 2_000_000_000


def token_count(value: Any) -> int:
    """A usage field as a non-negative integer; absent is 0, anything else is malformed."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a token count is not a number")
    if not 0 <= value <= _MOST_TOKENS:
        raise ValueError("a token count is out of range")
    return int(value)


def estimated_usage(chat: Chat, choices: tuple[Choice, ...]) -> Usage:
    """Tokens of a call by our own count, marked as such."""
    output = sum(
        estimate_tokens(part.name + part.arguments)
        if isinstance(part, ToolCall)
        else estimate_tokens(part.text)
        for choice in choices
        for part in choice.parts
    )
    if chat.max_tokens is not None:
        output = min(output, chat.max_tokens * chat.n)
    return Usage(chat.estimated_tokens(), output, estimated=True)
