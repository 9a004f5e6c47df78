"""A circuit breaker per provider: one that failed too often is left alone for a while.

The breaker is purgatory's, kept in this process, so that a call asks nobody. Whoever
shares what it finds with other workers listens by :meth:`Circuits.on_change` and tells
what they found by :meth:`Circuits.adopt`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.messages.base import Event
from purgatory.domain.messages.events import ContextChanged
from purgatory.domain.model import ClosedState, OpenedState
from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

from providers.errors import CircuitOpen, ProviderError

CircuitState = Literal["closed", "open", "half_open"]
Changed = Callable[[str, float], None]
"""Told (provider, seconds): it is left alone for these, from now on; 0 when it answers again."""


class Guard:
    """Lets a call of its provider through, and learns how it ended. Used by any number at once."""

    def __init__(self, provider: str, breaker: AsyncCircuitBreaker) -> None:
        self.provider = provider
        self.context = breaker.context
        self._breaker = breaker

    async def __aenter__(self) -> None:
        """Raises :class:`providers.errors.CircuitOpen`."""
        state = self.context._state
        if isinstance(state, OpenedState):
            # Clocks that were set back would otherwise leave it alone until they are there again.
            state.opened_at = min(state.opened_at, time.time())
        try:
            await self._breaker.__aenter__()
        except OpenedState:
            raise CircuitOpen(self.provider, "failed too often just now; not called") from None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._breaker.__aexit__(kind, error, trace)


class Circuits:
    """``failures`` in a row that open a circuit; ``seconds`` until its provider is tried again."""

    def __init__(self, failures: int, seconds: float) -> None:
        self.seconds = seconds
        self._guards: dict[str, Guard] = {}
        self._factory = AsyncCircuitBreakerFactory(
            default_threshold=failures,
            default_ttl=seconds,
            # A refused key or prompt says nothing about the provider's health, and neither
            # does a client that no longer waits.
            exclude=[
                (ProviderError, lambda error: not error.retryable),
                asyncio.CancelledError,
            ],
        )

    def on_change(self, changed: Changed) -> None:
        """Tell ``changed`` of every circuit that opens or closes here, on the event loop."""

        def hook(provider: str, kind: str, event: Event) -> None:
            # That its seconds are over, every worker finds by itself.
            if isinstance(event, ContextChanged) and event.state != "half-opened":
                changed(provider, self.seconds if event.state == "opened" else 0.0)

        self._factory.add_listener(hook)

    def state(self, provider: str) -> CircuitState:
        """Closed: called as usual. Open: not called. Half open: the next call is a probe."""
        guard = self._guards.get(provider)
        if guard is None or guard.context.state == "closed":
            return "closed"
        opened_at = guard.context.opened_at
        if guard.context.state == "half-opened" or opened_at is None:
            return "half_open"
        return "half_open" if time.time() > opened_at + self.seconds else "open"

    async def guard(self, provider: str) -> Guard:
        """What a call of ``provider`` is made within."""
        return self._guards.get(provider) or await self._guard(provider)

    async def adopt(self, provider: str, seconds: float) -> None:
        """Another worker found that ``provider`` is to be left alone for ``seconds`` more, or,
        if 0, that it answers again.
        """
        context = (await self.guard(provider)).context
        if seconds > 0:
            opened = OpenedState(provider)
            opened.opened_at = time.time() - (self.seconds - seconds)
            context.set_state(opened)
        elif context.state != "closed":
            context.set_state(ClosedState())
        # What others have said is not said again.
        context.messages.clear()

    async def _guard(self, provider: str) -> Guard:
        breaker = await self._factory.get_breaker(provider)
        return self._guards.setdefault(provider, Guard(provider, breaker))
