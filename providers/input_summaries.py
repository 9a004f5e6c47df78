"""What must be known of a chat's input if its call fails: its size, and which prompt it was."""

from __future__ import annotations

import asyncio

from providers.chat import Chat, Text, ToolResult
from providers.completion import Usage
from providers.fallback import InputSummary
from providers.usage_estimates import estimated_usage, lost_usage


async def summary_of(chat: Chat, caller: str) -> InputSummary:
    """Return the summary of a chat that ``caller`` sent; a large one is read on a thread."""

    def usage() -> Usage:
        return estimated_usage(chat, ())

    def lost() -> Usage:
        return lost_usage(chat)

    if chat.large:
        digest = await asyncio.to_thread(_digest, chat)
        return InputSummary(usage, lost, lambda: digest, caller, chat.residency, chat)
    return InputSummary(usage, lost, lambda: _digest(chat), caller, chat.residency, chat)


def _digest(chat: Chat) -> int:
    """Return a hash of the chat's texts; with equal texts it is the same prompt."""
    texts: list[str] = []
    for part in chat.parts():
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, ToolResult):
            texts += [inner.text for inner in part.content if isinstance(inner, Text)]
    return hash(tuple(texts))
