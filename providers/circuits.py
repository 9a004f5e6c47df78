"""A circuit breaker per provider: a provider that fails too often is not called for a while.

The breaker is purgatory's and its state is in this process, so that a call needs no network.
Code that shares the state with other workers listens with :meth:`Circuits.on_change` and
passes on what other workers found with :meth:`Circuits.adopt`.
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
"""Called with (provider, seconds): the provider is not called for so many seconds from now on;
0 if it answers again."""


class Guard:
    """A context manager around a call of one provider, which counts failures.

    Any number of calls may use it at the same time.
    """

    def __init__(self, provider: str, breaker: AsyncCircuitBreaker) -> None:
        self.provider = provider
        self.context = breaker.context
        self._breaker = breaker

    async def __aenter__(self) -> None:
        """Let the call through. Raises :class:`providers.errors.CircuitOpen`."""
        state = self.context._state
        if isinstance(state, OpenedState):
            # If the clock was set back, the circuit would otherwise stay open until the clock
            # reaches the old time again.
            state.opened_at = min(state.opened_at, time.time())
        try:
            await self._breaker.__aenter__()
        except OpenedState:
            raise CircuitOpen(
                self.provider, "failed too often recently and is not called for now"
            ) from None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._breaker.__aexit__(kind, error, trace)


class Circuits:
    """The circuit breakers of all providers.

    ``failures`` in a row open a circuit; after ``seconds`` its provider is tried again.
    """

    def __init__(self, failures: int, seconds: float) -> None:
        self.seconds = seconds
        self._guards: dict[str, Guard] = {}
        self._factory = AsyncCircuitBreakerFactory(
            default_threshold=failures,
            default_ttl=seconds,
            # A rejected key or prompt does not tell anything about the provider's health, and
            # neither does a client that disconnects.
            exclude=[
                (ProviderError, lambda error: not error.retryable),
                asyncio.CancelledError,
            ],
        )

    def on_change(self, changed: Changed) -> None:
        """Call ``changed``, on the event loop, for every circuit that opens or closes here."""

        def hook(provider: str, kind: str, event: Event) -> None:
            # Every worker notices by itself that the seconds are over.
            if isinstance(event, ContextChanged) and event.state != "half-opened":
                changed(provider, self.seconds if event.state == "opened" else 0.0)

        self._factory.add_listener(hook)

    def state(self, provider: str) -> CircuitState:
        """Return the state of the provider's circuit.

        Closed: it is called as usual. Open: it is not called. Half open: the next call is a
        probe.
        """
        guard = self._guards.get(provider)
        if guard is None or guard.context.state == "closed":
            return "closed"
        opened_at = guard.context.opened_at
        if guard.context.state == "half-opened" or opened_at is None:
            return "half_open"
        return "half_open" if time.time() > opened_at + self.seconds else "open"

    async def guard(self, provider: str) -> Guard:
        """Return the context manager for calls of ``provider``."""
        return self._guards.get(provider) or await self._new_guard(provider)

    async def adopt(self, provider: str, seconds: float) -> None:
        """Take over what another worker found out about ``provider``.

        The circuit is open for ``seconds`` more; with 0 it closes, as the provider answers again.
        """
        context = (await self.guard(provider)).context
        if seconds > 0:
            opened = OpenedState(provider)
            opened.opened_at = time.time() - (self.seconds - seconds)
            context.set_state(opened)
        elif context.state != "closed":
            context.set_state(ClosedState())
        # Do not report a change that came from another worker.
        context.messages.clear()

    async def _new_guard(self, provider: str) -> Guard:
        breaker = await self._factory.get_breaker(provider)
        return self._guards.setdefault(provider, Guard(provider, breaker))
