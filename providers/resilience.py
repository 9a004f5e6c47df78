"""Keep a provider's failure from becoming the client's failure.

The means are a bounded number of calls: retries with jitter where nothing was accepted, and the
fallback chain, in which the next model is called if one cannot answer. Providers that fail too
often (:mod:`providers.circuits`) and models that limit their rate (:mod:`providers.cooldowns`)
are spared.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from providers.attempts import AllProvidersFailed, Attempt
from providers.chat import Chat, Text, ToolResult, estimate_tokens
from providers.circuits import Circuits, CircuitState, RequestCircuits
from providers.completion import Completion, CompletionRequest, Provider, Usage, estimated_usage
from providers.cooldowns import Cooldowns
from providers.embedding import Embedder, Embeddings
from providers.errors import EmptyCompletion, ProviderError
from providers.events import Event, Started, UsageReported
from providers.fallback import (
    AuthorizeCall,
    FallbackRun,
    InputSummary,
    ResiliencePolicy,
    internal_error,
)

__all__ = [
    "AllProvidersFailed",
    "Attempt",
    "AuthorizeCall",
    "OpenStream",
    "ResiliencePolicy",
    "ResilientCaller",
]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenStream:
    """A stream whose first content has arrived, and the failed attempts before it.

    ``events`` start with the very first event; close the generator when done.
    """

    provider: str
    request: CompletionRequest
    events: AsyncGenerator[Event, None]
    attempts: tuple[Attempt, ...] = ()


@dataclass(slots=True)
class ResilientCaller:
    """Calls models in order until one answers."""

    providers: Mapping[str, Provider]
    policy: ResiliencePolicy
    circuits: Circuits = field(init=False)
    cooldowns: Cooldowns = field(init=False, default_factory=Cooldowns)

    def __post_init__(self) -> None:
        policy = self.policy
        self.circuits = Circuits(
            policy.breaker_failures, policy.breaker_seconds, policy.breaker_window
        )

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

        Failed calls are added to ``attempts``, also if the caller is cancelled: the call that
        was running then is the last attempt. Raises :class:`AllProvidersFailed`.
        Cancellation passes through, and so does an error of ``authorize`` before the first call.
        """

        def complete(client: Provider, model: str) -> Awaitable[Completion]:
            return client.complete(CompletionRequest(model, chat))

        return await self._run(chain, _summary_of(chat), attempts, authorize).first(complete)

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

        def usage() -> Usage:
            tokens = estimate_tokens(json.dumps(body.get("input"), ensure_ascii=False))
            return Usage(tokens, 0, estimated=True)

        summary = InputSummary(usage, lambda: hash(str(body.get("input"))))
        return await self._run(chain, summary, attempts, authorize).first(make)

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
        run = self._run(chain, _summary_of(chat), attempts, authorize)

        def begin(client: Provider, model: str) -> Awaitable[OpenStream]:
            return _begin(client, CompletionRequest(model, chat), run.circuits)

        stream = await run.first(begin)
        stream.attempts = tuple(attempts)
        return stream

    def _run(
        self,
        chain: Sequence[tuple[str, str]],
        summary: InputSummary,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None,
    ) -> FallbackRun:
        return FallbackRun(
            self.providers,
            self.policy,
            self.circuits,
            self.cooldowns,
            chain,
            summary,
            attempts,
            authorize,
        )


def _summary_of(chat: Chat) -> InputSummary:
    return InputSummary(lambda: estimated_usage(chat, ()), lambda: _digest(chat))


def _digest(chat: Chat) -> int:
    """Return a hash of the chat's texts; with equal texts it is the same prompt."""
    texts: list[str] = []
    for part in chat.parts():
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, ToolResult):
            texts += [inner.text for inner in part.content if isinstance(inner, Text)]
    return hash(tuple(texts))


async def _begin(
    client: Provider, request: CompletionRequest, circuits: RequestCircuits
) -> OpenStream:
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
    except BaseException as error:
        if first and isinstance(error, ProviderError):
            # The provider accepted the call, and may have said what it charges.
            error.maybe_charged = True
            reported = [event.usage for event in first if isinstance(event, UsageReported)]
            error.usage = error.usage or (reported[-1] if reported else None)
        await _close(client.name, events)
        raise
    return OpenStream(client.name, request, _all_events(client.name, first, events, circuits))


async def _all_events(
    provider: str,
    first: list[Event],
    rest: AsyncGenerator[Event, None],
    circuits: RequestCircuits,
) -> AsyncGenerator[Event, None]:
    try:
        for event in first:
            yield event
        async for event in rest:
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
