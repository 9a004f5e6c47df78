"""Keep a provider's failure from becoming the client's failure.

The means are retries with jitter (stamina), a circuit breaker per provider, and the
fallback chain: if one model cannot answer, the next one is called.
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
    CallBroken,
    ClientGone,
    EmptyCompletion,
    ProviderError,
    ProviderTimeout,
)
from providers.events import Event, Started, UsageReported

Made = TypeVar("Made")
AuthorizeCall = Callable[[str, str, Sequence["Attempt"]], Awaitable[None]]
"""Called with (provider, model, failed attempts) before each call. It raises an error to prevent
the call: a :class:`providers.errors.ProviderError` skips this model."""

# A longer wait for one provider is worse than a call of the next one.
_LONGEST_WAIT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed call: the model, the reason, and the tokens that it used.

    ``retry_after`` is how many seconds the provider asks clients to wait. ``words`` is the
    provider's own explanation, which only the client that sent the request may see.
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
    """No model of the chain answered. ``attempts`` lists the calls and why they failed."""

    def __init__(self, attempts: Sequence[Attempt], *, deadline_passed: bool = False) -> None:
        self.attempts = tuple(attempts)
        self.deadline_passed = deadline_passed
        super().__init__("; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts))


@dataclass(slots=True)
class OpenStream:
    """A stream whose first content has arrived, and the failed attempts before it.

    ``events`` start with the very first event; close the generator when done.
    """

    provider: str
    request: CompletionRequest
    events: AsyncGenerator[Event, None]
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class ResiliencePolicy:
    """The limits of retries, circuit breakers and time.

    ``retries`` follow the first call of the same model. ``breaker_failures`` in a row stop
    calls of a provider for ``breaker_seconds``. ``deadline``, in seconds, is for the whole
    request with all its models.
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
        """Return the state of the provider's circuit.

        Closed: it is called as usual. Open: it is not called. Half open: the next call is a
        probe.
        """
        return self.circuits.state(provider)

    async def call(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
    ) -> Completion:
        """Return the first completion that a (provider, model) of ``chain`` delivers.

        Failed calls are added to ``attempts``, also a call that an error of another kind or a
        cancellation ends. Raises :class:`AllProvidersFailed`; all else passes through.
        """

        def complete(client: Provider, model: str) -> Awaitable[Completion]:
            return client.complete(CompletionRequest(model, chat))

        return await self._first(chain, complete, attempts, authorize, chat)

    async def embed(
        self,
        chain: Sequence[tuple[str, str]],
        body: Mapping[str, Any],
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
    ) -> Embeddings:
        """Return the first embeddings that a (provider, model) of ``chain`` delivers.

        All providers of the chain must be :class:`Embedder`. Failed calls are added to
        ``attempts``. Raises :class:`AllProvidersFailed`.
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
        authorize: AuthorizeCall | None = None,
    ) -> OpenStream:
        """Return the first stream of ``chain`` that delivers content.

        A model that fails before its first content is skipped. The deadline applies until
        the first content; after it, every event has the connection's own timeout. Failed
        calls are added to ``attempts``, also if the caller is cancelled: the call that was
        running then is the last attempt. Raises :class:`AllProvidersFailed`.
        """

        def begin(client: Provider, model: str) -> Awaitable[OpenStream]:
            return self._begin(client, CompletionRequest(model, chat))

        stream = await self._first(chain, begin, attempts, authorize, chat)
        stream.attempts = tuple(attempts)
        return stream

    async def _first(
        self,
        chain: Sequence[tuple[str, str]],
        make: Callable[[Provider, str], Awaitable[Made]],
        attempts: list[Attempt],
        authorize: AuthorizeCall | None,
        chat: Chat | None = None,
    ) -> Made:
        current = chain[0]
        running: list[tuple[str, str]] = []

        async def run(client: Provider, model: str) -> Made:
            running[:] = [(client.name, model)]
            try:
                return await make(client, model)
            except ProviderError:
                running.clear()
                raise

        try:
            async with asyncio.timeout(self.policy.deadline):
                for provider, model in chain:
                    current = (provider, model)
                    try:
                        return await self._call_one(provider, model, run, attempts, authorize)
                    except ProviderError as error:
                        attempts.append(_attempt(provider, model, error))
        except TimeoutError:
            deadline_error = ProviderTimeout(
                "deadline", "did not answer before the request's deadline"
            )
            attempts.append(_attempt(*current, deadline_error))
            raise AllProvidersFailed(attempts, deadline_passed=True) from None
        except (Exception, asyncio.CancelledError) as error:
            attempts.extend(_ended(current, error, chat, running=bool(running)))
            raise
        raise AllProvidersFailed(attempts)

    async def _call_one(
        self,
        provider: str,
        model: str,
        make: Callable[[Provider, str], Awaitable[Made]],
        attempts: list[Attempt],
        authorize: AuthorizeCall | None,
    ) -> Made:
        tries = 1 + self.policy.retries
        calls = 0

        async def once() -> Made:
            nonlocal calls
            calls += 1
            try:
                return await self._call_once(provider, model, make, attempts, authorize)
            except ProviderError as error:
                # The last failure is recorded by the caller, which knows it was the last.
                if calls < tries and _worth_repeating(error):
                    attempts.append(_attempt(provider, model, error))
                raise

        try:
            # The first call usually succeeds, so it does without stamina.
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
        authorize: AuthorizeCall | None,
    ) -> Made:
        async with await self.circuits.guard(provider):
            if authorize is not None:
                await authorize(provider, model, attempts)
            return await make(self.providers[provider], model)

    async def _begin(self, client: Provider, request: CompletionRequest) -> OpenStream:
        """Wait for the first content; until then the client has received nothing."""
        events = client.stream(request)
        first: list[Event] = []
        try:
            async for event in events:
                first.append(event)
                if not isinstance(event, (Started, UsageReported)):
                    break
            else:
                raise EmptyCompletion(client.name, "streamed no content")
        except BaseException:
            await events.aclose()
            raise
        return OpenStream(client.name, request, self._all_events(client.name, first, events))

    async def _all_events(
        self, provider: str, first: list[Event], rest: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[Event, None]:
        async with aclosing(rest):
            for event in first:
                yield event
            try:
                async for event in rest:
                    yield event
            except ProviderError as error:
                # It is too late to fall back, but the circuit must count the failure.
                with suppress(ProviderError):
                    async with await self.circuits.guard(provider):
                        raise error
                raise


def _ended(
    ref: tuple[str, str], error: BaseException, chat: Chat | None, *, running: bool
) -> list[Attempt]:
    """Return the attempt that ``error`` ended, if any; ``error`` is not the provider's."""
    provider, model = ref
    if isinstance(error, asyncio.CancelledError):
        gone = ClientGone(provider, "had not answered when the client disconnected")
        attempt = _attempt(provider, model, gone)
    elif running:
        attempt = _attempt(
            provider, model, CallBroken(provider, "was called, and this service failed")
        )
    else:
        return []
    if running and chat is not None:
        # The provider may have read the prompt by then, and charges for it.
        attempt = replace(attempt, usage=estimated_usage(chat, ()))
    return [attempt]


def _worth_repeating(error: ProviderError) -> bool:
    wait = error.retry_after
    return error.retryable and (wait is None or wait <= _LONGEST_WAIT_SECONDS)


def _backoff(error: Exception) -> bool | float:
    """Return, for stamina, whether to try again, or after how many seconds."""
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
