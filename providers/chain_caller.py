"""Calls the models of a chain in order until one answers: retries, limits, deadlines and probes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import stamina

from providers.attempts import AllProvidersFailed, Attempt, internal_error
from providers.completion import Provider
from providers.errors import (
    CallNotAuthorized,
    ClientGone,
    ProviderError,
    ProviderTimeout,
    SwitchedOff,
)
from providers.fallback import FallbackState, InputSummary, ResiliencePolicy
from providers.offered_models import OfferedModels
from providers.pools.call import PooledCall
from providers.request_circuits import RequestCircuits
from providers.tier_attempts import TierAttempt

logger = logging.getLogger(__name__)

Made = TypeVar("Made")
Make = Callable[[Provider, str, FallbackState], Awaitable[Made]]
AuthorizeCall = Callable[[str, str, Sequence[Attempt]], Awaitable[None]]
"""Called with (provider, model, failed attempts) before each call. It raises an error to prevent
the call: a :class:`providers.errors.ProviderError` skips this model."""


@dataclass(slots=True)
class ChainCaller(OfferedModels):
    """Makes what a request wants with the first model of its chain that can."""

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
