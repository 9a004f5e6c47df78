"""Server-sent events from a provider, bounded; and the text of a stream made whole.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol, cast

import httpx
from httpx_sse import EventSource, ServerSentEvent

from providers.events import Event, RefusalDelta, TextDelta, ThinkingDelta, ToolArguments
from providers.storable import storable_text

_MOST_EVENT_CHARACTERS = 16 * 1024 * 1024


class StreamReader(Protocol):
    """Turns one wire's messages into events. ``None`` is OpenAI's end marker.

    ``complete`` is whether the stream came to its end, rather than being cut off.
    """

    @property
    def complete(self) -> bool: ...

    def feed(self, name: str, data: dict[str, Any] | None) -> Iterator[Event]: ...


class EventTooLarge(Exception):
    """One event is larger than any that a provider has reason to send."""


class _Bounded:
    """A response whose text between two events may not grow without end."""

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self._response = response
        self.size = 0

    async def aiter_text(self) -> AsyncIterator[str]:
        async for text in self._response.aiter_text():
            self.size += len(text)
            if self.size > _MOST_EVENT_CHARACTERS:
                raise EventTooLarge
            yield text


async def server_sent_events(response: httpx.Response) -> AsyncIterator[ServerSentEvent]:
    """The events of ``response``. Raises :class:`EventTooLarge` and httpx's errors."""
    bounded = _Bounded(response)
    source = EventSource(cast("httpx.Response", bounded))
    async with aclosing(source.aiter_sse()) as events:
        async for event in events:
            bounded.size = 0
            yield event


class WholeCharacters:
    """Holds half a character back until its other half arrives.

    JSON spells characters beyond the basic plane as two surrogates, which a
    provider may send in two deltas.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[type[Event], int, int], str] = {}

    def mend(self, event: Event) -> Event | None:
        """``event`` with whole characters only; ``None`` when nothing is left of it."""
        if not isinstance(event, (TextDelta, ToolArguments, ThinkingDelta, RefusalDelta)):
            return event
        text = event.text
        key = (type(event), event.choice, getattr(event, "index", 0))
        if self._held or (text and "\ud800" <= text[-1] <= "\udbff"):
            text = self._held.pop(key, "") + text
            if text and "\ud800" <= text[-1] <= "\udbff":
                self._held[key], text = text[-1], text[:-1]
                if not text:
                    return None
            # Two halves side by side are one character only after a round through UTF-16.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        mended = storable_text(text)
        return event if mended == event.text else replace(event, text=mended)
