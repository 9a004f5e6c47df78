"""Keeps one provider's trouble from becoming the client's.

Retries with jitter (stamina), a circuit breaker per provider (purgatory), and
the fallback chain: the next model when one cannot answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import stamina
from purgatory import AsyncCircuitBreakerFactory, AsyncInMemoryUnitOfWork
from purgatory.domain.model import OpenedState
from purgatory.service._async.repository import AsyncInMemoryRepository

from providers.base import Completion, CompletionRequest, Provider, Usage
from providers.errors import CircuitOpen, ProviderError, ProviderTimeout

CircuitState = Literal["closed", "open", "half_open"]

# Waiting longer than this for one provider is worse than asking the next.
_LONGEST_WAIT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed call: to whom, why, and what it used up."""

    provider: str
    model: str
    error: str
    message: str
    status: int | None = None
    usage: Usage | None = None


class AllProvidersFailed(Exception):
    """No model of the chain answered. ``attempts`` says which were tried and why they failed."""

    def __init__(self, attempts: Sequence[Attempt], *, deadline_passed: bool = False) -> None:
        self.attempts = tuple(attempts)
        self.deadline_passed = deadline_passed
        super().__init__("; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts))


@dataclass(slots=True)
class Outcome:
    """A completion and the failed attempts that came before it."""

    completion: Completion
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class ResiliencePolicy:
    """``retries`` beyond the first try on the same model; ``breaker_*`` per provider;
    ``deadline`` in seconds for the whole request, all models together."""

    retries: int = 1
    breaker_failures: int = 5
    breaker_seconds: float = 30.0
    deadline: float = 120.0


@dataclass(slots=True)
class ResilientCaller:
    """Calls models in order until one answers."""

    providers: Mapping[str, Provider]
    policy: ResiliencePolicy
    _contexts: AsyncInMemoryRepository = field(init=False)
    _circuits: AsyncCircuitBreakerFactory = field(init=False)

    def __post_init__(self) -> None:
        store = AsyncInMemoryUnitOfWork()
        self._contexts = cast("AsyncInMemoryRepository", store.contexts)
        self._circuits = AsyncCircuitBreakerFactory(
            default_threshold=self.policy.breaker_failures,
            default_ttl=self.policy.breaker_seconds,
            # A refused key or prompt says nothing about the provider's health.
            exclude=[(ProviderError, lambda error: not error.retryable)],
            uow=store,
        )

    def circuit_state(self, provider: str) -> CircuitState:
        """Closed: called as usual. Open: not called. Half open: the next call is a probe."""
        context = self._contexts.breakers.get(provider)
        if context is None or context.state == "closed":
            return "closed"
        opened_at = context.opened_at
        if context.state == "half-opened" or opened_at is None:
            return "half_open"
        return "half_open" if time.time() > opened_at + context.ttl else "open"

    async def call(
        self,
        chain: Sequence[tuple[str, str]],
        make_request: Callable[[str], CompletionRequest],
    ) -> Outcome:
        """The first completion that a (provider, model) of ``chain`` delivers.

        Raises :class:`AllProvidersFailed`; cancellation passes through.
        """
        attempts: list[Attempt] = []
        try:
            async with asyncio.timeout(self.policy.deadline):
                for provider, model in chain:
                    try:
                        completion = await self._call_one(provider, make_request(model), attempts)
                    except ProviderError as error:
                        attempts.append(_attempt(provider, model, error))
                    else:
                        return Outcome(completion, tuple(attempts))
        except TimeoutError:
            late = ProviderTimeout("deadline", "the request's deadline passed")
            provider, model = chain[
                min(len({(a.provider, a.model) for a in attempts}), len(chain) - 1)
            ]
            attempts.append(_attempt(provider, model, late))
            raise AllProvidersFailed(attempts, deadline_passed=True) from None
        raise AllProvidersFailed(attempts)

    async def _call_one(
        self, provider: str, request: CompletionRequest, attempts: list[Attempt]
    ) -> Completion:
        client = self.providers[provider]
        breaker = await self._circuits.get_breaker(provider)

        async for attempt in stamina.retry_context(
            on=_backoff,
            attempts=1 + self.policy.retries,
            timeout=None,
            wait_initial=0.2,
            wait_max=2.0,
            wait_jitter=0.3,
        ):
            with attempt:
                try:
                    async with breaker:
                        return await client.complete(request)
                except OpenedState:
                    raise CircuitOpen(provider, "failed too often just now; not called") from None
                except ProviderError as error:
                    # The last failure is recorded by the caller, which knows it was the last.
                    if attempt.num <= self.policy.retries and _worth_repeating(error):
                        attempts.append(_attempt(provider, request.model, error))
                    raise
        raise AssertionError("stamina ends in a result or an error")


def _worth_repeating(error: ProviderError) -> bool:
    wait = error.retry_after
    return error.retryable and (wait is None or wait <= _LONGEST_WAIT_SECONDS)


def _backoff(error: Exception) -> bool | float:
    """Stamina's hook: whether to try again, or after how many seconds."""
    if not isinstance(error, ProviderError) or not _worth_repeating(error):
        return False
    return True if error.retry_after is None else error.retry_after


def _attempt(provider: str, model: str, error: ProviderError) -> Attempt:
    return Attempt(provider, model, error.code, error.message, error.status, error.usage)
