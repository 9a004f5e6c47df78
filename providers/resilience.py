"""Keep a provider's failure from becoming the client's failure.

The means are a bounded number of calls: retries with jitter where nothing was accepted, and the
fallback chain, in which the next model is called if one cannot answer. Providers that fail too
often (:mod:`providers.circuits`) and models that limit their rate (:mod:`providers.cooldowns`)
are spared.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from providers.attempts import AllProvidersFailed, Attempt
from providers.chain_caller import AuthorizeCall, ChainCaller
from providers.chat import Chat
from providers.completion import Completion, CompletionRequest, Provider, Usage
from providers.embedding import Embedder, Embeddings
from providers.errors import ProviderError
from providers.fallback import FallbackState, InputSummary, ResiliencePolicy
from providers.input_summaries import summary_of
from providers.opened_stream import OpenStream, open_stream
from providers.residency import NO_RESIDENCY
from providers.specialised.bounds import usually_used
from providers.specialised.requests import (
    SpecialisedAnswer,
    SpecialisedRequest,
    SpecialisedStream,
    Specialist,
)
from providers.specialised.streams import opened, with_errors_counted
from providers.tier_attempts import TierAttempt
from providers.usage_estimates import complete_embedded_usage, complete_usage

__all__ = [
    "AllProvidersFailed",
    "Attempt",
    "AuthorizeCall",
    "Caller",
    "OpenStream",
    "ResiliencePolicy",
    "ResilientCaller",
    "TierAttempt",
]


class Caller(Protocol):
    """What :class:`ResilientCaller` does for a chat, for those that stand around it."""

    async def call(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
        caller: str = "",
        *,
        first: TierAttempt | None = None,
    ) -> Completion:
        """Return the first completion that a model of ``chain`` delivers."""
        ...

    async def open_stream(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
        caller: str = "",
        *,
        first: TierAttempt | None = None,
    ) -> OpenStream:
        """Return the first stream of ``chain`` that delivers content."""
        ...


@dataclass(slots=True)
class ResilientCaller(ChainCaller):
    """Makes completions, streams, embeddings and other answers with the first model that can."""

    async def call(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
        caller: str = "",
        policy: ResiliencePolicy | None = None,
        *,
        first: TierAttempt | None = None,
        guarded: bool = False,
    ) -> Completion:
        """Return the first completion that a (provider, model) of ``chain`` delivers.

        A ``guarded`` call has passed the guard already.
        ``caller`` is who sent the request: the failures of one open no circuit for others.
        ``policy`` replaces the usual limits where a request needs several answers.
        ``first`` asks the first model once in another service tier before all else.
        Failed calls are added to ``attempts``, also if the caller is cancelled: the call that
        was running then is the last attempt. Raises :class:`AllProvidersFailed`.
        Cancellation passes through, and so does an error of ``authorize`` before the first call.
        """
        if self.guard is not None and not guarded:
            call = partial(self.call, first=first, guarded=True)
            return await self.guard.whole(
                chat,
                attempts,
                lambda chat, tried: call(chain, chat, tried, authorize, caller, policy),
            )

        def complete(client: Provider, model: str, state: FallbackState) -> Awaitable[Completion]:
            lacks = self._lacking(client, model)
            return client.complete(CompletionRequest(model, chat, lacks, state.service_tier))

        state = self._state(chain, await summary_of(chat, caller), attempts, policy)
        if first is not None:
            return await self._tier_first(first, state, complete, authorize)
        return await self._first(state, complete, authorize)

    async def embed(
        self,
        chain: Sequence[tuple[str, str]],
        body: Mapping[str, Any],
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
        caller: str = "",
        residency: frozenset[str] = frozenset(),
        *,
        guarded: bool = False,
    ) -> Embeddings:
        """Return the first embeddings that a (provider, model) of ``chain`` delivers.

        All providers of the chain must be :class:`Embedder`. ``residency`` are the regions that
        the input must not leave. Failed calls are added to ``attempts``. Raises
        :class:`AllProvidersFailed`.
        """
        if self.guard is not None and not guarded:
            embed = partial(self.embed, guarded=True)
            return await self.guard.of_body(
                "embeddings",
                body,
                residency,
                attempts,
                lambda body, tried: embed(chain, body, tried, authorize, caller, residency),
            )

        async def make(client: Provider, model: str, state: FallbackState) -> Embeddings:
            assert isinstance(client, Embedder)
            return await client.embed(model, body)

        def usage() -> Usage:
            return complete_embedded_usage(None, body)

        summary = InputSummary(
            usage, usage, lambda: hash(str(body.get("input"))), caller, residency
        )
        return await self._first(self._state(chain, summary, attempts), make, authorize)

    async def perform(
        self,
        chain: Sequence[tuple[str, str]],
        request: SpecialisedRequest,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
        caller: str = "",
        residency: frozenset[str] = NO_RESIDENCY,
        broken: list[ProviderError] | None = None,
        *,
        guarded: bool = False,
    ) -> SpecialisedAnswer | SpecialisedStream:
        """Return the first answer that a specialised model of ``chain`` delivers, or its stream.

        A stream that fails before its first piece is no answer. All providers of the chain must
        be :class:`Specialist`. ``residency`` are the regions that the request must not leave.
        Failed calls are added to ``attempts``, and the errors of failed streams to ``broken``.
        Raises :class:`AllProvidersFailed`.
        """
        broken = [] if broken is None else broken
        if self.guard is not None and not guarded:
            perform = partial(self.perform, guarded=True)
            return await self.guard.of_body(
                request.task,
                request.fields,
                residency,
                attempts,
                lambda fields, tried: perform(
                    chain,
                    replace(request, fields=fields),
                    tried,
                    authorize,
                    caller,
                    residency,
                    broken,
                ),
            )

        async def make(
            client: Provider, model: str, state: FallbackState
        ) -> SpecialisedAnswer | SpecialisedStream:
            assert isinstance(client, Specialist)
            made = await client.perform(model, request)
            if not isinstance(made, SpecialisedStream):
                return made
            return with_errors_counted(await opened(made, broken), state.circuits)

        def usage() -> Usage:
            used = usually_used(request)
            return Usage(used.input_tokens, used.output_tokens, estimated=True, units=used.units)

        digest = hash((request.task, request.text))
        summary = InputSummary(usage, usage, lambda: digest, caller, residency)
        state = self._state(chain, summary, attempts)
        state.whole = not request.streams
        return await self._first(state, make, authorize)

    async def open_stream(
        self,
        chain: Sequence[tuple[str, str]],
        chat: Chat,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None = None,
        caller: str = "",
        policy: ResiliencePolicy | None = None,
        *,
        first: TierAttempt | None = None,
        guarded: bool = False,
    ) -> OpenStream:
        """Return the first stream of ``chain`` that delivers content.

        A model that fails before its first content is skipped. The deadline applies until
        the first content; after it, every event has the connection's own timeout. Failed
        calls are added to ``attempts``, also if the caller is cancelled: the call that was
        running then is the last attempt. ``policy`` is as for :meth:`call`. Raises
        :class:`AllProvidersFailed`.
        """
        if self.guard is not None and not guarded:
            opening = partial(self.open_stream, first=first, guarded=True)
            return await self.guard.streamed(
                chat,
                attempts,
                lambda chat, tried: opening(chain, chat, tried, authorize, caller, policy),
            )
        state = self._state(chain, await summary_of(chat, caller), attempts, policy)
        state.whole = False

        def begin(client: Provider, model: str, state: FallbackState) -> Awaitable[OpenStream]:
            def report(usage: Usage) -> None:
                state.reported = complete_usage(usage, chat, ())

            lacks = self._lacking(client, model)
            request = CompletionRequest(model, chat, lacks, state.service_tier)
            return open_stream(client, request, state.circuits, report)

        if first is None:
            stream = await self._first(state, begin, authorize)
        else:
            stream = await self._tier_first(first, state, begin, authorize)
        stream.attempts = tuple(attempts)
        return stream
