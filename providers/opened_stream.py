"""A stream whose first content has arrived: until then another model can answer instead."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from providers.attempts import Attempt, internal_error
from providers.completion import CompletionRequest, Provider, Usage
from providers.errors import EmptyCompletion, MalformedResponse, ProviderError
from providers.events import Event, Relayed, Started, UsageReported
from providers.request_circuits import RequestCircuits
from providers.stream_bounds import MOST_BEFORE_CONTENT, AnswerBound, weight


@dataclass(slots=True)
class OpenStream:
    """A stream whose first content has arrived, and the failed attempts before it.

    ``events`` start with the very first event; close the generator when done. ``headers`` are
    those that clients of the provider's wire read, if the request came in on it. ``member`` is
    the short name of the pool's member that answers, "" without a pool.
    """

    provider: str
    request: CompletionRequest
    events: AsyncGenerator[Event, None]
    attempts: tuple[Attempt, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    member: str = ""


class ClosingStream(AsyncGenerator[Event, None]):
    """Events that close other ones too, even if nothing was read of them yet."""

    def __init__(
        self, events: AsyncGenerator[Event, None], first: AsyncGenerator[Event, None]
    ) -> None:
        self._events = events
        self._first = first

    async def asend(self, value: None) -> Event:
        """Return the next event."""
        return await self._events.asend(value)

    async def athrow(self, *error: Any) -> Event:
        """Raise an error within the generator."""
        return await self._events.athrow(*error)

    async def aclose(self) -> None:
        """Close both."""
        await self._events.aclose()
        await self._first.aclose()


async def open_stream(
    client: Provider,
    request: CompletionRequest,
    circuits: RequestCircuits,
    report: Callable[[Usage], None],
) -> OpenStream:
    """Wait for the first content; until then the client has received nothing.

    ``report`` is called with what the provider reports of its usage until then.
    """
    events = client.stream(request)
    first: list[Event] = []
    left = MOST_BEFORE_CONTENT
    try:
        async for event in events:
            first.append(event)
            if isinstance(event, UsageReported):
                report(event.usage)
            elif not isinstance(event, (Started, Relayed)):
                break
            left -= weight(event)
            if left < 0:
                raise MalformedResponse(client.name, "streamed on and on without content")
        else:
            raise EmptyCompletion(client.name, "streamed no content")
    except BaseException as error:
        if first and isinstance(error, ProviderError):
            # The provider accepted the call, and may have said what it charges.
            error.maybe_charged = True
            reported = [event.usage for event in first if isinstance(event, UsageReported)]
            error.usage = error.usage or (reported[-1] if reported else None)
        await _close(client.name, events)
        raise
    headers = next((e.headers for e in first if isinstance(e, Started) and e.headers), {})
    return OpenStream(
        client.name,
        request,
        _all_events(client.name, first, events, circuits),
        headers=headers,
    )


async def _all_events(
    provider: str,
    first: list[Event],
    rest: AsyncGenerator[Event, None],
    circuits: RequestCircuits,
) -> AsyncGenerator[Event, None]:
    bound = AnswerBound(provider)
    try:
        for event in first:
            bound.add(event)
            yield event
        async for event in rest:
            bound.add(event)
            yield event
    except ProviderError as error:
        # It is too late to fall back, but the circuit must count the failure.
        circuits.broke_off(provider, error)
        raise
    except Exception as error:
        raise internal_error(provider, error) from error
    finally:
        await _close(provider, rest)


async def _close(provider: str, events: AsyncGenerator[Event, None]) -> None:
    """End the call. An error of closing takes nothing away from what was read before."""
    try:
        await events.aclose()
    except Exception as error:  # noqa: BLE001 - it is logged
        internal_error(provider, error)
