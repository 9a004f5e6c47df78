"""Read a provider's server-sent events and their JSON, and repair characters split in two.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol, cast

import httpx
from httpx_sse import EventSource, ServerSentEvent

from providers.errors import MalformedResponse
from providers.events import Event, RefusalDelta, TextDelta, ThinkingDelta, ToolArguments
from providers.http.unlabelled import ReadResponse
from providers.large_json import LARGE_BYTES, read_large, replace_constants, writable
from providers.storable import storable_text

logger = logging.getLogger(__name__)

JsonMessages = AsyncGenerator[tuple[str, str, dict[str, Any] | None], None]
_MOST_EVENT_CHARACTERS = 16 * 1024 * 1024


class StreamReader(Protocol):
    """Turns the messages of one wire into events.

    ``repaired`` is whether the last message was changed in place, as clients would fail on it.
    """

    repaired: bool

    @property
    def complete(self) -> bool:
        """Whether the whole answer has arrived; false if the stream was cut off."""
        ...

    def feed(self, name: str, data: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one message; ``data`` is ``None`` for OpenAI's end marker."""
        ...


class EventTooLarge(Exception):
    """One event is larger than 16 Mi characters, more than a provider has reason to send."""


class _BoundedResponse:
    """A response that limits the text between two events.

    It omits a byte order mark, and ends the last event also where the server does not. It decodes
    what the connection gives by itself: httpx's response does so in three generators, one upon
    the other, which every token passes and every open stream keeps.
    """

    def __init__(self, response: httpx.Response | ReadResponse) -> None:
        self.headers = {"content-type": "text/event-stream"}
        self._response = response
        self.size = 0

    async def aiter_text(self) -> AsyncIterator[str]:
        begun = False
        decoder = _decoder_of(self._response.encoding or "utf-8")("replace")
        assert isinstance(self._response.stream, httpx.AsyncByteStream)
        async for piece in self._response.stream:
            text = decoder.decode(piece)
            if not begun and text:
                begun = True
                text = text.removeprefix("\ufeff")
            self.size += len(text)
            if self.size > _MOST_EVENT_CHARACTERS:
                raise EventTooLarge
            if text:
                yield text
        yield decoder.decode(b"", final=True) + "\n\n"


@lru_cache(maxsize=16)  # servers of one kind name one encoding, in each of their streams
def _decoder_of(encoding: str) -> Callable[[str], codecs.IncrementalDecoder]:
    """Return what makes decoders of an encoding of text; of UTF-8, the format's, for any other.

    Python also calls encodings what is none of text, as "hex" and "idna".
    """
    try:
        b"data".decode(encoding, "replace")
        decoder = codecs.getincrementaldecoder(encoding)
        decoder("replace").decode(b"data: \xc3\xa4", final=True)
    except (LookupError, ValueError):
        return codecs.getincrementaldecoder("utf-8")
    return decoder


async def server_sent_events(
    response: httpx.Response | ReadResponse,
) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of ``response``. Raises :class:`EventTooLarge` and httpx's errors."""
    bounded = _BoundedResponse(response)
    source = EventSource(cast("httpx.Response", bounded))
    async with aclosing(source.aiter_sse()) as events:
        async for event in events:
            bounded.size = 0
            yield event


async def json_messages(provider: str, response: httpx.Response | ReadResponse) -> JsonMessages:
    """Yield the name, the text and the JSON of each event; ``None`` for ``[DONE]``.

    A message that is no JSON object is left out. Raises :class:`ProviderError` and httpx's errors.
    """
    try:
        async for message in server_sent_events(response):
            text = message.data
            if not text:
                continue
            if text.strip() == "[DONE]":
                yield message.event, text, None
                return
            if len(text) > LARGE_BYTES:
                data = await asyncio.to_thread(_json_object, text)
            else:
                data = _json_object(text)
            if data is None:
                logger.warning("%s streamed a message that is not a JSON object", provider)
            else:
                if ("NaN" in text or "Infinity" in text) and replace_constants(data):
                    text = as_text(data)
                yield message.event, text, data
    except EventTooLarge:
        raise MalformedResponse(provider, "streamed an event larger than 16 MiB") from None


def is_event_stream(response: httpx.Response) -> bool:
    """Return whether the body is a stream of events; some servers name it as plain text."""
    kind = response.headers.get("content-type", "text/event-stream").partition(";")[0].strip()
    return kind.lower() not in {"application/json", "text/html"}


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        data = read_large(text) if len(text) > LARGE_BYTES else json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def as_text(data: Mapping[str, Any] | None) -> str:
    """Return the text of a message; ``None`` is OpenAI's end marker."""
    if data is None:
        return "[DONE]"
    try:
        return json.dumps(data)
    except RecursionError:
        return json.dumps(writable(data))


class WholeCharacters:
    """Keeps half a character back until its other half arrives.

    JSON writes a character outside the basic multilingual plane as two surrogates, and a
    provider may send them in two deltas.
    """

    def __init__(self) -> None:
        self._halves: dict[tuple[type[Event], int, int], str] = {}

    def mend(self, event: Event) -> Event | None:
        """Return ``event`` with whole characters only, or ``None`` if no text is left in it."""
        if not isinstance(event, (TextDelta, ToolArguments, ThinkingDelta, RefusalDelta)):
            return event
        text = event.text
        key = (type(event), event.choice, getattr(event, "index", 0))
        if self._halves or (text and "\ud800" <= text[-1] <= "\udbff"):
            text = self._halves.pop(key, "") + text
            if text and "\ud800" <= text[-1] <= "\udbff":
                self._halves[key], text = text[-1], text[:-1]
                if not text:
                    return None
            # Encoding to UTF-16 and back joins two adjacent halves into one character.
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        mended = storable_text(text)
        return event if mended == event.text else replace(event, text=mended)


class WholeMessages:
    """Does the same for messages that are passed on: it mends their texts in place."""

    def __init__(self) -> None:
        self._halves: dict[tuple[Any, ...], str] = {}

    def mend(self, text: str, data: dict[str, Any] | None) -> bool:
        """Mend the texts in ``data``, whose JSON is ``text``; return whether anything changed."""
        if data is None or not (self._halves or "\\ud" in text or "\\uD" in text):
            return False
        return self._mend(data, (data.get("index"),))

    def _mend(self, value: Any, place: tuple[Any, ...]) -> bool:
        changed = False
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(items):
            if isinstance(item, str):
                whole = self._whole(item, (*place, key))
                if whole != item:
                    value[key], changed = whole, True
            elif isinstance(item, (dict, list)):
                changed |= self._mend(item, (*place, key))
        return changed

    def _whole(self, text: str, place: tuple[Any, ...]) -> str:
        text = self._halves.pop(place, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves[place], text = text[-1], text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
