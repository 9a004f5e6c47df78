"""Keeps one provider's trouble from becoming the client's.

Retries with jitter (stamina), a circuit breaker per provider, and
the fallback chain: the next model when one cannot answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import stamina

from providers.chat import Chat
from providers.circuits import Circuits, CircuitState
from providers.completion import Completion, CompletionRequest, Provider, Usage, estimated_usage
from providers.embedding import Embedder, Embeddings
from providers.errors import (
    ClientGone,
    EmptyCompletion,
    ProviderError,
    ProviderTimeout,
)
from providers.events import Event, Started, UsageReported

Made = TypeVar("Made")
Permit = Callable[[str, str, Sequence["Attempt"]], Awaitable[None]]
"""Asked before each call of (provider, model), after the failed attempts; raises what to make of
it otherwise: a :class:`providers.errors.ProviderError` to pass over this model."""

# Waiting longer than this for one provider is worse than asking the next.
_LONGEST_WAIT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed call: to whom, why, and what it used up.

    ``retry_after`` is how many seconds the provider asks to be left alone.
    ``words`` are the provider's own, for the client who asked and nobody else.
    """

    provider: str
    model: str
    error: str
    message: str
    status: int | None = None
    usage: Usage | None = None
    words: str = field(default="", repr=False)
    retry_after: float | None = None


class AllProvidersFailed(Exception):
    """No model of the chain answered. ``attempts`` says which were tried and why they failed."""

    def __init__(self, attempts: Sequence[Attempt], *, deadline_passed: bool = False) -> None:
        self.attempts = tuple(attempts)
        self.deadline_passed = deadline_passed
        super().__init__("; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts))


@dataclass(slots=True)
class OpenStream:
    """A stream that has begun to speak, and the failed attempts that came before it.

    ``events`` begin with the first one of all; close them when done.
    """

    provider: str
    request: CompletionRequest
    events: AsyncGenerator[Event, None]
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class ResiliencePolicy:
    """``retries`` beyond the first try on the same model; ``breaker_*`` per provider;
    ``deadline`` in seconds for the whole request, all models together.
    """

    retries: int = 1
    breaker_failures: int = 5
    breaker_seconds: float = 30.0
    deadline: float = 120.0


@dataclass(slots=True)
class ResilientCaller:
    """Calls models in order until one answers."""

    providers: Mapping[str, Provider]
    policy: ResiliencePolicy
    circuits: Circuits = field(init=False)

    def __post_init__(self) -> None:
        self.circuits = Circuits(self.policy.breaker_failures, self.policy.breaker_seconds)

    def circuit_state(self, provider: str) -> CircuitState:
        """Closed: called as usual. Open: not called. Half open: the next call is a probe."""
        return self.circuits.state(provider)

    async def call(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: Permit | None = None,
    ) -> Completion:
        """Return the first completion that a (provider, model) of ``chain`` delivers.

        ``attempts`` is filled with what failed before. Raises :class:`AllProvidersFailed`;
        cancellation passes through.
        """

        def complete(client: Provider, model: str) -> Awaitable[Completion]:
            return client.complete(CompletionRequest(model, chat))

        return await self._first(chain, complete, attempts, authorize)

    async def embed(
        self,
        chain: Sequence[tuple[str, str]],
        body: Mapping[str, Any],
        attempts: list[Attempt],
        authorize: Permit | None = None,
    ) -> Embeddings:
        """The first answer of ``chain``, whose providers all embed; ``attempts`` is filled
        with what failed before. Raises :class:`AllProvidersFailed`.
        """

        async def make(client: Provider, model: str) -> Embeddings:
            assert isinstance(client, Embedder)
            return await client.embed(model, body)

        return await self._first(chain, make, attempts, authorize)

    async def open_stream(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: Permit | None = None,
    ) -> OpenStream:
        """The first stream of ``chain`` that brings content; whoever fails before is passed over.

        The deadline holds until then; after that every event has the
        connection's own time limit. ``attempts`` is filled with what failed,
        also when the caller is cancelled: the call that was under way then is
        the last of them. Raises :class:`AllProvidersFailed`.
        """
        begun: list[tuple[str, str]] = []

        def begin(client: Provider, model: str) -> Awaitable[OpenStream]:
            begun.append((client.name, model))
            return self._begin(client, CompletionRequest(model, chat))

        try:
            stream = await self._first(chain, begin, attempts, authorize)
        except asyncio.CancelledError:
            last = attempts[-1]
            if begun and begun[-1] == (last.provider, last.model):
                # Whoever had read the prompt by then will charge for it.
                usage = estimated_usage(chat, ())
                attempts[-1] = replace(last, usage=usage)
            raise
        stream.attempts = tuple(attempts)
        return stream

    async def _first(
        self,
        chain: Sequence[tuple[str, str]],
        make: Callable[[Provider, str], Awaitable[Made]],
        attempts: list[Attempt],
        authorize: Permit | None,
    ) -> Made:
        tried = chain[0]
        try:
            async with asyncio.timeout(self.policy.deadline):
                for provider, model in chain:
                    tried = (provider, model)
                    try:
                        return await self._call_one(provider, model, make, attempts, authorize)
                    except ProviderError as error:
                        attempts.append(_attempt(provider, model, error))
        except TimeoutError:
            late = ProviderTimeout("deadline", "the request's deadline passed")
            attempts.append(_attempt(*tried, late))
            raise AllProvidersFailed(attempts, deadline_passed=True) from None
        except asyncio.CancelledError:
            gone = ClientGone(tried[0], "was still at it when the client went away")
            attempts.append(_attempt(*tried, gone))
            raise
        raise AllProvidersFailed(attempts)

    async def _call_one(
        self,
        provider: str,
        model: str,
        make: Callable[[Provider, str], Awaitable[Made]],
        attempts: list[Attempt],
        authorize: Permit | None,
    ) -> Made:
        tries = 1 + self.policy.retries
        tried = 0

        async def once() -> Made:
            nonlocal tried
            tried += 1
            try:
                return await self._call_once(provider, model, make, attempts, authorize)
            except ProviderError as error:
                # The last failure is recorded by the caller, which knows it was the last.
                if tried < tries and _worth_repeating(error):
                    attempts.append(_attempt(provider, model, error))
                raise

        try:
            # What most often succeeds needs nobody to count tries.
            return await once()
        except ProviderError as error:
            failed: ProviderError | None = error
        async for attempt in stamina.retry_context(
            on=_backoff,
            attempts=tries,
            timeout=None,
            wait_initial=0.2,
            wait_max=2.0,
            wait_jitter=0.3,
        ):
            with attempt:
                if failed is not None:
                    first, failed = failed, None
                    raise first
                return await once()
        raise AssertionError("stamina ends in a result or an error")

    async def _call_once(
        self,
        provider: str,
        model: str,
        make: Callable[[Provider, str], Awaitable[Made]],
        attempts: Sequence[Attempt],
        authorize: Permit | None,
    ) -> Made:
        async with await self.circuits.guard(provider):
            if authorize is not None:
                await authorize(provider, model, attempts)
            return await make(self.providers[provider], model)

    async def _begin(self, client: Provider, request: CompletionRequest) -> OpenStream:
        """Wait for the first content: until then nothing has been said that cannot be unsaid."""
        events = client.stream(request)
        first: list[Event] = []
        try:
            async for event in events:
                first.append(event)
                if not isinstance(event, (Started, UsageReported)):
                    break
            else:
                raise EmptyCompletion(client.name, "streamed no answer")
        except BaseException:
            await events.aclose()
            raise
        return OpenStream(client.name, request, self._followed(client.name, first, events))

    async def _followed(
        self, provider: str, first: list[Event], rest: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[Event, None]:
        async with aclosing(rest):
            for event in first:
                yield event
            try:
                async for event in rest:
                    yield event
            except ProviderError as error:
                # Too late to fall back, but the circuit shall know.
                with suppress(ProviderError):
                    async with await self.circuits.guard(provider):
                        raise error
                raise


def _worth_repeating(error: ProviderError) -> bool:
    wait = error.retry_after
    return error.retryable and (wait is None or wait <= _LONGEST_WAIT_SECONDS)


def _backoff(error: Exception) -> bool | float:
    """Stamina's hook: whether to try again, or after how many seconds."""
    if not isinstance(error, ProviderError) or not _worth_repeating(error):
        return False
    return True if error.retry_after is None else error.retry_after


def _attempt(provider: str, model: str, error: ProviderError) -> Attempt:
    return Attempt(
        provider,
        model,
        error.code,
        error.message,
        error.status,
        error.usage,
        error.words,
        error.retry_after,
    )
