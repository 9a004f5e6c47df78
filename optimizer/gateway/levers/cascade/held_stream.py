"""A stream that is read to its end before its client gets any of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from providers.assembly import CompletionBuilder
from providers.completion import Completion
from providers.errors import ClientGone, ProviderError, ProviderTimeout
from providers.events import Event
from providers.resilience import OpenStream

Broken = Callable[[Completion, ProviderError], None]
"""Called with what had arrived of an answer, and what ended it."""


@dataclass(frozen=True, slots=True)
class HeldStream:
    """A stream whose answer is complete, as one answer and as the events that it came in."""

    completion: Completion
    opened: OpenStream
    events: tuple[Event, ...]

    def given(self) -> OpenStream:
        """Return the stream as its client would have got it."""
        return replace(self.opened, events=_given(self.events))


async def hold_stream(opened: OpenStream, seconds: float, broken: Broken) -> HeldStream:
    """Read a stream to its end, in at most so many seconds.

    If it breaks, ``broken`` is called first: what has arrived is paid for. Raises
    :class:`providers.errors.ProviderError`; cancellation passes through.
    """
    builder = CompletionBuilder(opened.provider, opened.request)
    events: list[Event] = []
    limit = asyncio.timeout(seconds)
    try:
        async with limit, aclosing(opened.events) as arriving:
            async for event in arriving:
                builder.add(event)
                events.append(event)
    except ProviderError as error:
        broken(builder.completion(), error)
        raise
    except TimeoutError:
        late = ProviderTimeout(opened.provider, f"had not ended its answer after {seconds:.0f} s")
        broken(builder.completion(), late)
        raise late from None
    except BaseException:
        gone = ClientGone(opened.provider, "was answering when the client disconnected")
        broken(builder.completion(), gone)
        raise
    return HeldStream(builder.completion(), opened, tuple(events))


async def _given(events: tuple[Event, ...]) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event
