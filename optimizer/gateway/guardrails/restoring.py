"""Puts values back in place of their placeholders, also where a stream cuts one in two.

An answer with placeholders is not passed on as it came: it is written anew in the client's format.
Reasoning keeps its placeholders, because its provider has signed it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
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
    ToolCallStarted,
    UsageReported,
)

_PLACEHOLDER = re.compile(r"<[A-Z0-9_]+_\d+>")
# Servers in Go escape the brackets in JSON: https://pkg.go.dev/encoding/json#Marshal
_PLACEHOLDER_OF_JSON = re.compile(r"(?:<|(?<!\\)\\u003[cC])([A-Z0-9_]+_\d+)(?:>|\\u003[eE])")
_BEGUN = re.compile(r"<[A-Z0-9_]{0,48}\Z")
"""What may be the beginning of a placeholder, at the end of a piece of text."""
_ESCAPE = r"\\+(?:u(?:0(?:03?)?)?)?"
_BEGUN_OF_JSON = re.compile(rf"(?:<|\\+u003[cC])[A-Z0-9_]{{0,48}}(?:{_ESCAPE})?\Z|{_ESCAPE}\Z")
_Delta = TextDelta | RefusalDelta | ToolArguments


def restored_text(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with the values of the placeholders that are known."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[0], match[0]), text)


def restored_json(text: str, values: Mapping[str, str]) -> str:
    """Return the same for a piece of JSON, in which a value is escaped."""

    def restored(match: re.Match[str]) -> str:
        value = values.get(f"<{match[1]}>")
        return match[0] if value is None else json.dumps(value, ensure_ascii=False)[1:-1]

    return _PLACEHOLDER_OF_JSON.sub(restored, text)


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
    freeform: set[tuple[int, int]] = set()
    async with aclosing(events) as arriving:
        async for event in arriving:
            if isinstance(event, (TextDelta, RefusalDelta, ToolArguments)):
                restored = _restored_delta(event, waiting, values, freeform)
                if restored is not None:
                    yield restored
                continue
            for held in _taken(waiting, event):
                yield held
            if isinstance(event, ToolCallStarted) and event.freeform:
                freeform.add((event.choice, event.index))
            if isinstance(event, Started):
                event = replace(event, relayed=False, headers=None)
            if not isinstance(event, Relayed):
                yield event
    for held in waiting.values():
        yield held


def _restored_delta(
    event: _Delta,
    waiting: dict[tuple[Any, ...], _Delta],
    values: Mapping[str, str],
    freeform: Collection[tuple[int, int]],
) -> _Delta | None:
    """Return what can be given of a piece, with what waited for it; the rest waits."""
    key, restore, begun = _place_of(event, freeform)
    if (before := waiting.pop(key, None)) is not None:
        event = replace(event, text=before.text + event.text)
    whole, rest = _cut(event.text, begun)
    if rest:
        waiting[key] = replace(event, text=rest)
        if not whole:
            return None
    return replace(event, text=restore(whole, values))


def _place_of(
    event: _Delta, freeform: Collection[tuple[int, int]]
) -> tuple[tuple[Any, ...], Callable[[str, Mapping[str, str]], str], re.Pattern[str]]:
    """Return which text an event goes on with, how its values are written, and what waits."""
    if isinstance(event, ToolArguments):
        if (event.choice, event.index) in freeform:
            return ("arguments", event.choice, event.index), restored_text, _BEGUN
        return ("arguments", event.choice, event.index), restored_json, _BEGUN_OF_JSON
    if isinstance(event, RefusalDelta):
        return ("refusal", event.choice), restored_text, _BEGUN
    return ("text", event.choice, event.block), restored_text, _BEGUN


def _taken(waiting: dict[tuple[Any, ...], _Delta], event: Event) -> list[_Delta]:
    """Return what need not wait any more, as another part or the end follows."""
    if isinstance(event, (Relayed, UsageReported, KeepAlive)):
        return []
    ended = event.choice if isinstance(event, Finished) else None
    keys = [key for key in waiting if ended is None or key[1] == ended]
    return [waiting.pop(key) for key in keys]


def _cut(text: str, beginning: re.Pattern[str]) -> tuple[str, str]:
    begun = beginning.search(text)
    return (text, "") if begun is None else (text[: begun.start()], text[begun.start() :])
