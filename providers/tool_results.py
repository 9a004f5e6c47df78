"""Give each call of a tool one result, directly after the turn that makes the call.

OpenAI's API and Gemini's refuse all else. Clients leave results out where a user stops a call,
send some twice, or write a text before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from providers.chat import Message, Part, Text, ToolCall, ToolResult

NO_RESULT = "There is no result of this call."


def with_results(messages: Sequence[Message]) -> Sequence[Message]:
    """Return ``messages`` with the results in their places; themselves if they are right."""
    if not any(isinstance(p, (ToolCall, ToolResult)) for m in messages for p in m.parts):
        return messages
    complete: list[Message] = []
    calls: list[str] = []
    others: list[Message] = []
    for message in messages:
        if message.role != "assistant":
            others.append(message)
            continue
        complete += _answered(calls, others)
        complete.append(message)
        # One result cannot answer two calls with one id.
        ids = (part.id for part in message.parts if isinstance(part, ToolCall))
        calls, others = list(dict.fromkeys(ids)), []
    return [*complete, *_answered(calls, others)]


def _answered(calls: Sequence[str], others: Sequence[Message]) -> Iterable[Message]:
    """Return what the user says after a turn with ``calls``: first their results."""
    parts = [part for message in others for part in message.parts]
    if _in_place(calls, parts):
        return others
    results: dict[str, ToolResult] = {}
    for part in parts:
        if isinstance(part, ToolResult) and part.call_id in calls:
            results.setdefault(part.call_id, part)
    first = tuple(results.get(call) or _missing(call) for call in calls)
    used = {id(result) for result in results.values()}
    rest = [replace(m, parts=tuple(_as_text(m.parts, used))) for m in others]
    kept = [m for m, before in zip(rest, others, strict=True) if m.parts or not before.parts]
    return [Message("user", first), *kept] if first else kept


def _in_place(calls: Sequence[str], parts: Sequence[Part]) -> bool:
    """Return whether the results come first, each once, before all that is no result."""
    first = [part for part in parts[: len(calls)] if isinstance(part, ToolResult)]
    rest = parts[len(calls) :]
    return (
        len(first) == len(calls)
        and {result.call_id for result in first} == set(calls)
        and not any(isinstance(part, ToolResult) for part in rest)
    )


def _as_text(parts: Iterable[Part], used: set[int]) -> Iterable[Part]:
    """Yield the parts; a result of no call is a text, so that what it says is still said."""
    for part in parts:
        if not isinstance(part, ToolResult):
            yield part
        elif id(part) not in used:
            yield from part.content


def _missing(call_id: str) -> ToolResult:
    return ToolResult(call_id, (Text(NO_RESULT),), is_error=True)
