"""Take our seals off the reasoning in a request that goes out on its own wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from providers.chat import Chat, Message, Thinking, ToolCall
from providers.openai.dialect import Dialect
from providers.openai.reasoning import needs_reasoning, past_reasoning

_REASONING_FIELDS = frozenset({"reasoning_content", "reasoning", "reasoning_details"})


def with_own_reasoning(
    messages: list[Any],
    chat: Chat,
    author: tuple[str, str],
    dialect: Dialect,
    *,
    past: bool,
) -> list[Any]:
    """Return ``messages`` with the reasoning that ``author`` wrote, without our seals.

    ``author`` is the (provider, model) that gets them. Reasoning of other models under our
    seal is left out. What has no seal goes to servers that take ``past`` reasoning: as it came
    if the client named the model, else if it has their form. Others refuse its fields.
    """
    turns = (message for message in chat.messages if message.role == "assistant")
    restore = _restorer(turns, chat, author, dialect, past=past)
    return [
        restore(message) if message.get("role") == "assistant" else message for message in messages
    ]


def shows_reasoning(messages: list[Any]) -> bool:
    """Return whether a turn has reasoning in a field of its own."""
    return any(not _REASONING_FIELDS.isdisjoint(message) for message in messages)


def _restorer(
    turns: Iterator[Message], chat: Chat, author: tuple[str, str], dialect: Dialect, *, past: bool
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def restore(message: dict[str, Any]) -> dict[str, Any]:
        turn = next(turns, None)
        if turn is None:
            return message
        thoughts = [part for part in turn.parts if isinstance(part, Thinking)]
        sealed = any(thought.provider for thought in thoughts)
        restored = message
        if sealed or (thoughts and (chat.chosen or not past)):
            restored = {k: v for k, v in message.items() if k not in _REASONING_FIELDS}
            if past:
                anybody = _in_form_of(dialect, message)
                restored |= past_reasoning(thoughts, author, dialect, anybody=anybody)
            if not restored.get("tool_calls") and restored.get("content") is None:
                restored["content"] = ""
        if past and message.get("tool_calls") and needs_reasoning(author[1], dialect):
            restored = {"reasoning_content": "", **restored}
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        if any(call.signed_by != ("", "") for call in calls):
            by_id = {call.id: call for call in calls}
            restored = {
                **restored,
                "tool_calls": [
                    _unsealed_call(call, by_id.get(call.get("id") or ""), author)
                    for call in message.get("tool_calls") or ()
                ],
            }
        return restored

    return restore


def _in_form_of(dialect: Dialect, message: dict[str, Any]) -> bool:
    """Return whether the reasoning in ``message`` may be from a server of this dialect."""
    if message.get("reasoning_details"):
        return dialect.has_details
    return not (dialect.router and message.get("reasoning_content"))


def _unsealed_call(
    raw: dict[str, Any], call: ToolCall | None, author: tuple[str, str]
) -> dict[str, Any]:
    if call is None or call.signed_by == ("", ""):
        return raw
    restored = {name: value for name, value in raw.items() if name != "extra_content"}
    if call.signature and call.signed_by == author:
        restored["extra_content"] = {"google": {"thought_signature": call.signature}}
    return restored
