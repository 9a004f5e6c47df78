"""Puts values back in place of their placeholders, also where a stream cuts one in two.

An answer with placeholders is not passed on as it came: it is written anew in the client's format.
Reasoning keeps its placeholders, because its provider has signed it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from providers.chat import Text, ToolCall
from providers.completion import Choice, Completion
from providers.events import (
    Event,
    Finished,
    KeepAlive,
    RefusalDelta,
    Relayed,
    Started,
    TextDelta,
    ToolArguments,
    UsageReported,
)

_PLACEHOLDER = re.compile(r"<[A-Z0-9_]+_\d+>")
_BEGUN = re.compile(r"<[A-Z0-9_]{0,48}$")
"""What may be the beginning of a placeholder, at the end of a piece of text."""
_Delta = TextDelta | RefusalDelta | ToolArguments


def restored_text(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with the values of the placeholders that are known."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[0], match[0]), text)


def restored_json(text: str, values: Mapping[str, str]) -> str:
    """Return the same for a piece of JSON, in which a value is escaped."""
    return _PLACEHOLDER.sub(
        lambda match: (
            json.dumps(values[match[0]], ensure_ascii=False)[1:-1]
            if match[0] in values
            else match[0]
        ),
        text,
    )


def restored_completion(answer: Completion, values: Mapping[str, str]) -> Completion:
    """Return a whole answer with its values."""
    choices = tuple(_restored_choice(choice, values) for choice in answer.choices)
    return replace(answer, choices=choices, relayed=None)


def _restored_choice(choice: Choice, values: Mapping[str, str]) -> Choice:
    parts: list[Any] = []
    for part in choice.parts:
        if isinstance(part, Text):
            part = replace(part, text=restored_text(part.text, values))
        elif isinstance(part, ToolCall):
            restore = restored_text if part.freeform else restored_json
            part = replace(part, arguments=restore(part.arguments, values))
        parts.append(part)
    refusal = restored_text(choice.refusal, values)
    return replace(choice, parts=tuple(parts), refusal=refusal)


async def restored_events(
    events: AsyncGenerator[Event, None], values: Mapping[str, str]
) -> AsyncGenerator[Event, None]:
    """Yield the events with their values. What may be half a placeholder waits for its rest."""
    waiting: dict[tuple[Any, ...], _Delta] = {}
    async with aclosing(events) as arriving:
        async for event in arriving:
            if isinstance(event, (TextDelta, RefusalDelta, ToolArguments)):
                restored = _restored_delta(event, waiting, values)
                if restored is not None:
                    yield restored
                continue
            for held in _taken(waiting, event):
                yield held
            if isinstance(event, Started):
                event = replace(event, relayed=False, headers=None)
            if not isinstance(event, Relayed):
                yield event
    for held in waiting.values():
        yield held


def _restored_delta(
    event: _Delta, waiting: dict[tuple[Any, ...], _Delta], values: Mapping[str, str]
) -> _Delta | None:
    """Return what can be given of a piece, with what waited for it; the rest waits."""
    key, restore = _place_of(event)
    if (before := waiting.pop(key, None)) is not None:
        event = replace(event, text=before.text + event.text)
    whole, rest = _cut(event.text)
    if rest:
        waiting[key] = replace(event, text=rest)
        if not whole:
            return None
    return replace(event, text=restore(whole, values))


def _place_of(event: _Delta) -> tuple[tuple[Any, ...], Callable[[str, Mapping[str, str]], str]]:
    """Return which text an event goes on with, and how its values are written."""
    if isinstance(event, ToolArguments):
        return ("arguments", event.choice, event.index), restored_json
    if isinstance(event, RefusalDelta):
        return ("refusal", event.choice), restored_text
    return ("text", event.choice, event.block), restored_text


def _taken(waiting: dict[tuple[Any, ...], _Delta], event: Event) -> list[_Delta]:
    """Return what need not wait any more, as another part or the end follows."""
    if isinstance(event, (Relayed, UsageReported, KeepAlive)):
        return []
    ended = event.choice if isinstance(event, Finished) else None
    keys = [key for key in waiting if ended is None or key[1] == ended]
    return [waiting.pop(key) for key in keys]


def _cut(text: str) -> tuple[str, str]:
    begun = _BEGUN.search(text)
    return (text, "") if begun is None else (text[: begun.start()], text[begun.start() :])
