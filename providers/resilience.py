"""Keep a provider's failure from becoming the client's failure.

The means are a bounded number of calls: retries with jitter where nothing was accepted, and the
fallback chain, in which the next model is called if one cannot answer. Providers that fail too
often (:mod:`providers.circuits`) and models that limit their rate (:mod:`providers.cooldowns`)
are spared.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import stamina

from providers.attempts import AllProvidersFailed, Attempt, internal_error
from providers.call_guard import CallGuard
from providers.chat import Chat, Text, ToolResult
from providers.circuits import Circuits, CircuitState, RequestCircuits, key_circuit
from providers.completion import (
    Completion,
    CompletionRequest,
    Provider,
    Usage,
    complete_embedded_usage,
    complete_usage,
    estimated_usage,
    lost_usage,
)
from providers.cooldowns import Cooldowns
from providers.embedding import Embedder, Embeddings
from providers.errors import (
    CallNotAuthorized,
    ClientGone,
    OutsideResidency,
    ProviderError,
    ProviderTimeout,
    SwitchedOff,
)
from providers.fallback import FallbackState, InputSummary, ResiliencePolicy
from providers.opened_stream import OpenStream, open_stream
from providers.pools.call import PooledCall
from providers.pools.pool import MemberPool
from providers.residency import NO_RESIDENCY, residency_features
from providers.silence import Silence
from providers.specialised.bounds import usually_used
from providers.specialised.requests import (
    SpecialisedAnswer,
    SpecialisedRequest,
    SpecialisedStream,
    Specialist,
)
from providers.tier_attempts import TierAttempt, TierLimits

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

logger = logging.getLogger(__name__)

_KEPT_MODELS = 1_000
Made = TypeVar("Made")
Make = Callable[[Provider, str, FallbackState], Awaitable[Made]]
AuthorizeCall = Callable[[str, str, Sequence[Attempt]], Awaitable[None]]
"""Called with (provider, model, failed attempts) before each call. It raises an error to prevent
the call: a :class:`providers.errors.ProviderError` skips this model."""


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
class ResilientCaller:
    """Calls models in order until one answers.

    ``lacks`` returns the features that a (provider, model) does not have. ``may_call`` raises an
    error while no provider may be called at all.
    """

    providers: Mapping[str, Provider]
    policy: ResiliencePolicy
    lacks: Callable[[str, str], frozenset[str]] = lambda provider, model: frozenset()
    pools: Mapping[str, MemberPool] = field(default_factory=dict)
    regions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The regions in which a provider's own client keeps all data, for those that have any. Of a
    pool it is that of the first member, which does what is no call of a model."""
    circuits: Circuits = field(init=False)
    cooldowns: Cooldowns = field(init=False, default_factory=Cooldowns)
    silence: Silence = field(default_factory=Silence)
    tiers: TierLimits = field(default_factory=TierLimits)
    may_call: Callable[[], None] = lambda: None
    switched_off: frozenset[tuple[str, str]] = frozenset()
    """The (provider, model) pairs that are not called at all."""
    guard: CallGuard | None = None
    """What stands before and after all calls, if anything does."""
    changes: int = 0
    """Counts changes of the providers and of their models."""
    _known_lacks: dict[tuple[str, str], frozenset[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        policy = self.policy
        self.circuits = Circuits(
            policy.breaker_failures, policy.breaker_seconds, policy.breaker_window
        )

    def count_change(self) -> None:
        """Say that providers, models or what they can do have changed."""
        self._known_lacks = {}
        self.changes += 1

    def serves(self, provider: str, model: str, snapshot_of: str = "") -> bool:
        """Return whether the model may be called: it is on, and its provider is configured.

        A dated edition, ``snapshot_of`` a model, is off with that model.
        """
        if provider not in self.providers:
            return False
        return not self.switched_off or not self.is_off(provider, model, snapshot_of)

    def is_off(self, provider: str, model: str, snapshot_of: str = "") -> bool:
        """Return whether the model, or the one that it is a dated edition of, is switched off."""
        off = self.switched_off
        return (provider, model) in off or (provider, snapshot_of) in off

    def residencies(self, provider: str, model: str) -> frozenset[str]:
        """Return the features of the regions within which the model is served."""
        pool = self.pools.get(provider)
        if pool is not None:
            return pool.residencies(model)
        regions = self.regions.get(provider)
        return residency_features(regions) if regions else frozenset()

    def must_stay_within(self, provider: str, residency: frozenset[str]) -> None:
        """Raise :class:`OutsideResidency` if the provider's own client may not have the data."""
        if not residency <= self.regions.get(provider, NO_RESIDENCY):
            raise OutsideResidency.of(provider, residency)

    def wire_of(self, provider: str) -> str:
        """Return the wire of a configured provider; empty if it is not configured any more."""
        client = self.providers.get(provider)
        return "" if client is None else client.wire

    def circuit_state(self, provider: str) -> CircuitState:
        """Return the state of the provider's circuit, or of that of its key if it is worse.

        Closed: it is called as usual. Open: it is not called. Half open: the next call is a
        probe.
        """
        state = self.circuits.state(provider)
        if state == "closed" and self.circuits.rare:
            return self.circuits.state(key_circuit(provider))
        return state

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

        state = self._state(chain, await _summary_of(chat, caller), attempts, policy)
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
        *,
        guarded: bool = False,
    ) -> SpecialisedAnswer | SpecialisedStream:
        """Return the first answer that a specialised model of ``chain`` delivers, or its stream.

        All providers of the chain must be :class:`Specialist`. ``residency`` are the regions that
        what is sent must not leave. Failed calls are added to ``attempts``. Raises
        :class:`AllProvidersFailed`.
        """
        if self.guard is not None and not guarded:
            perform = partial(self.perform, guarded=True)
            return await self.guard.of_body(
                request.task,
                request.fields,
                residency,
                attempts,
                lambda fields, tried: perform(
                    chain, replace(request, fields=fields), tried, authorize, caller, residency
                ),
            )

        async def make(
            client: Provider, model: str, state: FallbackState
        ) -> SpecialisedAnswer | SpecialisedStream:
            assert isinstance(client, Specialist)
            return await client.perform(model, request)

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
        state = self._state(chain, await _summary_of(chat, caller), attempts, policy)
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

    def _lacking(self, client: Provider, model: str) -> frozenset[str]:
        known = self._known_lacks
        key = (client.name, model)
        if key not in known:
            # Clients may invent names without end.
            if len(known) >= _KEPT_MODELS:
                known.clear()
            known[key] = self.lacks(*key)
        return known[key]

    def _state(
        self,
        chain: Sequence[tuple[str, str]],
        summary: InputSummary,
        attempts: list[Attempt],
        policy: ResiliencePolicy | None = None,
    ) -> FallbackState:
        circuits = RequestCircuits(self.circuits, summary.digest, summary.caller)
        limits = policy or self.policy
        return FallbackState(
            limits, circuits, self.cooldowns, summary, attempts, list(chain[1:]), chain[0]
        )

    async def _tier_first(
        self,
        first: TierAttempt,
        state: FallbackState,
        make: Make[Made],
        authorize: AuthorizeCall | None,
    ) -> Made:
        """Return what another tier delivers in its time, else what the chain does in the rest."""
        started, tried = time.monotonic(), self.tiers.state(state, first)
        try:
            return await self._first(tried, make, authorize)
        except AllProvidersFailed:  # it is among the attempts
            state.calls += tried.calls
        left = state.policy.deadline - (time.monotonic() - started)
        state.policy = replace(state.policy, deadline=left)
        made = await self._first(state, make, authorize)
        self.tiers.learn(tried, state.current)
        return made

    async def _first(
        self,
        state: FallbackState,
        make: Make[Made],
        authorize: AuthorizeCall | None,
    ) -> Made:
        """Return what the first model that answers delivers."""
        delivered = False
        deadline = asyncio.timeout(state.policy.deadline)
        try:
            async with deadline:
                while True:
                    try:
                        made = await self._call_model(state, make, authorize)
                    except ProviderError as error:  # it is among the attempts
                        if state.pool is not None and state.choose_member(error):
                            continue
                        if not state.choose_next():
                            break
                        continue
                    delivered = True
                    state.circuits.delivered(state.current[0])
                    if state.cooldowns.models:
                        state.cooldowns.answered(*state.current)
                    return made
        except TimeoutError:
            if not deadline.expired():
                raise
            state.note_deadline()
            raise AllProvidersFailed(state.attempts, deadline_passed=True) from None
        except asyncio.CancelledError:
            gone = ClientGone(state.current[0], "had not answered when the client disconnected")
            # The provider may have read the prompt by then, and charges for it.
            gone.maybe_charged = state.running
            state.note(gone)
            raise
        finally:
            state.circuits.settle()
            if state.attempts:
                state.limit_without_wait(delivered)
        raise AllProvidersFailed(state.attempts)

    async def _call_model(
        self,
        state: FallbackState,
        make: Make[Made],
        authorize: AuthorizeCall | None,
    ) -> Made:
        try:
            # The first call usually succeeds, so it does without stamina.
            return await self._call_once(state, make, authorize)
        except ProviderError as error:
            if not state.policy.retries or not state.backoff(error):
                raise
            failed: ProviderError | None = error
        async for attempt in stamina.retry_context(
            on=state.backoff,
            attempts=1 + state.policy.retries,
            timeout=None,
            wait_initial=0.2,
            wait_max=2.0,
            wait_jitter=0.3,
        ):
            with attempt:
                if failed is not None:
                    first, failed = failed, None
                    raise first
                return await self._call_once(state, make, authorize)
        raise AssertionError("stamina ends in a result or an error")

    async def _call_once(
        self,
        state: FallbackState,
        make: Make[Made],
        authorize: AuthorizeCall | None,
    ) -> Made:
        provider, model = state.current
        pooled: PooledCall | None = None
        try:
            if not self.serves(provider, model):
                raise SwitchedOff(provider, "was switched off, or its key was removed")
            if state.cooldowns.models:
                state.refuse_limited()
            if self.pools or state.summary.residency:
                make, pooled = await self._where_allowed(state, make)
            seconds = state.circuits.admit(provider, model)
            silence = self.tiers.silence if state.service_tier else self.silence
            waiting = silence.call(provider, state.summary.caller)
            self._check_permission(state)
            if authorize is not None:
                await _authorize(authorize, state)
            state.calls += 1
            state.running, state.reported = True, None
            with waiting:
                try:
                    if seconds is None or not state.remaining:
                        made = await make(self.providers[provider], model, state)
                    else:
                        probe = make(self.providers[provider], model, state)
                        made = await _probe(probe, provider, seconds)
                except ProviderError:
                    raise
                except Exception as error:
                    raise internal_error(provider, error) from error
        except ProviderError as error:
            state.note(error)
            state.learn(error)
            state.running = False
            raise
        finally:
            if pooled is not None:
                pooled.leave()
        state.running = False
        return made

    async def _where_allowed(
        self, state: FallbackState, make: Make[Made]
    ) -> tuple[Make[Made], PooledCall | None]:
        """Return what calls a member of the provider's pool, and its call.

        They are ``make`` itself and ``None`` without a pool. Raises :class:`OutsideResidency` if
        nothing of the provider may have the request's data, and :class:`MembersBusy`.
        """
        provider, _ = state.current
        pool, residency = self.pools.get(provider), state.summary.residency
        if pool is None:
            self.must_stay_within(provider, residency)
            return make, None
        call = await PooledCall.of(pool, state)

        def by_member(_: Provider, model: str, state: FallbackState) -> Awaitable[Made]:
            return call.answer(make(call.member.client, model, state))

        return by_member, call

    def _check_permission(self, state: FallbackState) -> None:
        """Raise the error of ``may_call``; after a call, it ends the fallback and is no failure."""
        try:
            self.may_call()
        except Exception as error:
            if not state.attempts:
                raise
            words = f"was not called: {error}"
            raise CallNotAuthorized(state.current[0], words) from error


async def _probe(call: Awaitable[Made], provider: str, seconds: float) -> Made:
    """Return the result of a call that must not take long, as another model can answer."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await call
    except TimeoutError:
        if not limit.expired():
            raise
        raise ProviderTimeout(provider, f"did not answer a probe within {seconds:.0f} s") from None


async def _authorize(authorize: AuthorizeCall, state: FallbackState) -> None:
    provider, model = state.current
    try:
        await authorize(provider, model, state.attempts)
    except ProviderError:
        raise
    except Exception as error:
        if not state.attempts:
            raise
        # Earlier calls may cost something, which only a failure of the request records.
        logger.warning("A fallback could not be authorized: %s", type(error).__name__)
        raise CallNotAuthorized(provider, "was not called: no budget can be checked") from error


async def _summary_of(chat: Chat, caller: str) -> InputSummary:
    def usage() -> Usage:
        return estimated_usage(chat, ())

    def lost() -> Usage:
        return lost_usage(chat)

    if chat.large:
        digest = await asyncio.to_thread(_digest, chat)
        return InputSummary(usage, lost, lambda: digest, caller, chat.residency, chat)
    return InputSummary(usage, lost, lambda: _digest(chat), caller, chat.residency, chat)


def _digest(chat: Chat) -> int:
    """Return a hash of the chat's texts; with equal texts it is the same prompt."""
    texts: list[str] = []
    for part in chat.parts():
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, ToolResult):
            texts += [inner.text for inner in part.content if isinstance(inner, Text)]
    return hash(tuple(texts))
