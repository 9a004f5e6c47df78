"""Passes a provider's own answer on to a client that uses the same wire.

The answer keeps all that the provider sent. Only what an API's rules require is changed, and
the summary of this service is added to the last message of a stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from optimizer.api.compat.stream_encoder import StreamEncoder, stream_summary
from optimizer.api.http.failure import Failure
from optimizer.api.http.json_out import as_json
from optimizer.api.http.sse import sse, sse_text
from optimizer.domain.result import CompletionResult
from providers.events import Event, KeepAlive, Relayed, Started

# The comment of a stream that has nothing to say yet; clients ignore it.
ALIVE = b": keep-alive\n\n"


class RelayRules:
    """What one API changes in a message that is passed on: by default, nothing.

    ``last`` is the message with which each of its streams ends, if it has such a one.
    """

    __slots__ = ()

    last: ClassVar[Relayed | None] = None

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return ``data`` itself if nothing changes, else what replaces it; ``None`` omits it."""
        return data

    def whole(self, body: Mapping[str, Any], result: CompletionResult) -> Mapping[str, Any]:
        """Return the whole answer: ``body`` itself if nothing changes.

        Usage that the provider does not report, and clients need, is our own count.
        """
        return body

    def missing_ending(
        self, endings: Sequence[Relayed], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Return the message that the end of a stream lacks, ``None`` if it lacks nothing."""
        return None

    def summarized(
        self, data: Mapping[str, Any], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Return ``data`` with the summary of ``result``, ``None`` if it has no place for it."""
        return {**data, "optimizer": stream_summary(result)}


class RelayEncoder:
    """Encodes the stream of one client: the provider's own messages, or else the events.

    ``events`` encodes the answers of other wires, of the cache, and the errors; ``alive`` is
    what a stream sends while it has nothing to say.
    """

    def __init__(self, rules: RelayRules, events: StreamEncoder, alive: bytes = ALIVE) -> None:
        self._rules = rules
        self._alive = alive
        self._events = events
        self._endings: list[Relayed] = []
        self._relays = False

    @property
    def relays(self) -> bool:
        """Whether the messages are the provider's own."""
        return self._relays

    def encode(self, event: Event) -> Iterator[bytes]:
        """Yield the server-sent events for ``event``."""
        if isinstance(event, Relayed):
            if event.ending:
                self._endings.append(event)
            elif (message := self._message(event)) is not None:
                yield message
        elif isinstance(event, KeepAlive):
            yield self._alive
        elif isinstance(event, Started) and event.relayed:
            self._relays = True
        else:
            yield from self._events.encode(event)

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        """Yield the events that end the stream, with the summary in one of them."""
        if not self._relays:
            yield from self._events.finish(result)
            return
        summary: CompletionResult | None = result
        messages: list[bytes] = []
        endings = self._endings
        if (missing := self._rules.missing_ending(endings, result)) is not None:
            name = missing.get("type") or ""
            endings = [Relayed(name, as_json(missing).decode(), missing), *endings]
        for event in reversed(endings):
            with_summary = self._with_summary(event, summary)
            if with_summary is not None:
                messages.append(with_summary)
                summary = None
            elif (message := self._message(event)) is not None:
                messages.append(message)
        yield from reversed(messages)
        last = self._rules.last
        if last is not None and not any(_is_same(event, last) for event in self._endings):
            # Some servers forget it, and some clients wait for it.
            yield sse_text(last.text, last.name)

    def error(self, failure: Failure) -> Iterator[bytes]:
        """Yield what was held back for the end, and the provider's own report of ``failure``."""
        for event in self._endings:
            # After an end marker, clients would not read on.
            if event.data is None or (self._rules.last and _is_same(event, self._rules.last)):
                continue
            if (message := self._message(event)) is not None:
                yield message
        if self._relays and failure.event is not None:
            name = failure.event.get("type")
            yield sse(failure.event, name if isinstance(name, str) else "")
        else:
            yield from self._events.error(failure)

    def _message(self, event: Relayed) -> bytes | None:
        """Return the message for the client; ``None`` omits it."""
        data = None if event.data is None else self._rules.changed(event.data)
        if data is event.data:
            return sse_text(event.text, _name_of(event))
        return None if data is None else sse(data, _name_of(event))

    def _with_summary(self, event: Relayed, summary: CompletionResult | None) -> bytes | None:
        """Return the message with the summary; ``None`` if it carries none."""
        if summary is None or event.data is None:
            return None
        data = self._rules.changed(event.data)
        summarized = None if data is None else self._rules.summarized(data, summary)
        return None if summarized is None else sse(summarized, _name_of(event))


def _name_of(event: Relayed) -> str:
    return "" if event.name == "message" else event.name


def _is_same(event: Relayed, last: Relayed) -> bool:
    if event.data is None or last.data is None:
        return event.data is last.data
    return last.name in (event.name, event.data.get("type"))
