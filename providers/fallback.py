"""One request on its way along the chain: which model is called next, and what failed before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import stamina

from providers.attempts import AllProvidersFailed, Attempt
from providers.circuits import Circuits, RequestCircuits
from providers.completion import Provider, Usage
from providers.cooldowns import Cooldowns
from providers.errors import (
    CallNotAuthorized,
    CircuitOpen,
    ClientGone,
    ContentBlocked,
    EmptyCompletion,
    InternalError,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
)

logger = logging.getLogger(__name__)

Made = TypeVar("Made")
AuthorizeCall = Callable[[str, str, Sequence[Attempt]], Awaitable[None]]
"""Called with (provider, model, failed attempts) before each call. It raises an error to prevent
the call: a :class:`providers.errors.ProviderError` skips this model."""

# A longer wait for one provider is worse than a call of the next one.
_LONGEST_WAIT_SECONDS = 3.0
# Errors of the request itself. One more provider may understand it; a third is not asked.
_REJECTED = (RequestRejected, RequestTooLarge, ContentBlocked)
_MOST_REJECTIONS = 2
# Errors of one model or one call; all others make another provider the better choice.
_OF_THE_MODEL = (ModelNotFound, EmptyCompletion, CallNotAuthorized)


@dataclass(frozen=True, slots=True)
class ResiliencePolicy:
    """The limits of retries, calls, circuit breakers and time.

    ``retries`` follow the first call of the same model, ``max_calls`` is for all models.
    ``breaker_failures`` within ``breaker_window`` stop calls of a provider for
    ``breaker_seconds``. ``deadline``, in seconds, is for the whole request with all its models.
    """

    retries: int = 1
    max_calls: int = 4
    breaker_failures: int = 5
    breaker_window: float = 60.0
    breaker_seconds: float = 30.0
    deadline: float = 600.0


@dataclass(frozen=True, slots=True)
class InputSummary:
    """What a request asks, as far as its failures need it.

    ``usage`` estimates the tokens of its input, ``digest`` is a hash of it.
    """

    usage: Callable[[], Usage]
    digest: Callable[[], int]


class FallbackRun:
    """The calls of one request."""

    __slots__ = (
        "_attempts",
        "_authorize",
        "_calls",
        "_cooldowns",
        "_current",
        "_limited",
        "_policy",
        "_providers",
        "_rejections",
        "_remaining",
        "_running",
        "_spent",
        "_summary",
        "circuits",
    )

    def __init__(
        self,
        providers: Mapping[str, Provider],
        policy: ResiliencePolicy,
        circuits: Circuits,
        cooldowns: Cooldowns,
        chain: Sequence[tuple[str, str]],
        summary: InputSummary,
        attempts: list[Attempt],
        authorize: AuthorizeCall | None,
    ) -> None:
        self._providers = providers
        self._policy = policy
        self._cooldowns = cooldowns
        self._summary = summary
        self._attempts = attempts
        self._authorize = authorize
        self._remaining = list(chain)
        self._current = self._remaining[0]
        self._calls = 0
        self._rejections = 0
        self._running = False
        self._spent: set[str] = set()
        self._limited: list[tuple[str, str]] = []
        self.circuits = RequestCircuits(circuits, summary.digest)

    async def first(self, make: Callable[[Provider, str], Awaitable[Made]]) -> Made:
        """Return what the first model that answers delivers.

        Failed calls are added to the attempts. Raises :class:`AllProvidersFailed`. Cancellation
        passes through, and so does an error of ``authorize`` before the first call.
        """
        delivered = False
        deadline = asyncio.timeout(self._policy.deadline)
        try:
            async with deadline:
                while self._next_model():
                    try:
                        made = await self._call_model(make)
                    except ProviderError:
                        continue  # it is among the attempts
                    delivered = True
                    self.circuits.delivered(self._current[0])
                    self._cooldowns.answered(*self._current)
                    return made
        except TimeoutError:
            if not deadline.expired():
                raise
            if self._running or not self._attempts:
                provider = self._current[0]
                late = ProviderTimeout(provider, "did not answer before the request's deadline")
                late.maybe_charged = self._running
                self._note(late)
                if self._running:
                    self.circuits.failed(provider, late)
            raise AllProvidersFailed(self._attempts, deadline_passed=True) from None
        except asyncio.CancelledError:
            gone = ClientGone(self._current[0], "had not answered when the client disconnected")
            # The provider may have read the prompt by then, and charges for it.
            gone.maybe_charged = self._running
            self._note(gone)
            raise
        finally:
            self._settle(delivered)
        raise AllProvidersFailed(self._attempts)

    def _next_model(self) -> bool:
        """Choose the next model, and return whether there is one."""
        if not self._remaining or self._calls >= self._policy.max_calls:
            return False
        if self._rejections >= _MOST_REJECTIONS:
            return False
        if not self._attempts:
            self._current = self._remaining.pop(0)
        else:
            self._current = min(self._remaining, key=self._reluctance)
            self._remaining.remove(self._current)
        return True

    def _reluctance(self, model: tuple[str, str]) -> tuple[bool, bool]:
        """Return the order of a fallback: models of other providers first, limited ones last."""
        return self._cooldowns.remaining(*model) > 0, model[0] in self._spent

    async def _call_model(self, make: Callable[[Provider, str], Awaitable[Made]]) -> Made:
        try:
            # The first call usually succeeds, so it does without stamina.
            return await self._call_once(make)
        except ProviderError as error:
            if not self._policy.retries or not self._backoff(error):
                raise
            failed: ProviderError | None = error
        async for attempt in stamina.retry_context(
            on=self._backoff,
            attempts=1 + self._policy.retries,
            timeout=None,
            wait_initial=0.2,
            wait_max=2.0,
            wait_jitter=0.3,
        ):
            with attempt:
                if failed is not None:
                    first, failed = failed, None
                    raise first
                return await self._call_once(make)
        raise AssertionError("stamina ends in a result or an error")

    def _backoff(self, error: Exception) -> bool | float:
        """Return, for stamina, whether to call the model again, or after how many seconds.

        It is called again only if the provider did not accept the request, and if every other
        provider of the chain can still have a call.
        """
        if not isinstance(error, ProviderError) or not error.retryable or error.maybe_charged:
            return False
        wait = error.retry_after
        if wait is None:
            if isinstance(error, RateLimited):
                return False
        elif wait > _LONGEST_WAIT_SECONDS:
            return False
        others = {provider for provider, _ in self._remaining} - self._spent
        if self._policy.max_calls - self._calls <= len(others):
            return False
        return True if wait is None else wait

    async def _call_once(self, make: Callable[[Provider, str], Awaitable[Made]]) -> Made:
        provider, model = self._current
        try:
            wait = self._cooldowns.refused_for(provider, model)
            if wait is not None:
                words = f"limits the rate of calls for {wait:.0f} s more and was not called"
                raise RateLimited(provider, words, retry_after=wait)
            self.circuits.admit(provider)
            if self._authorize is not None:
                await self._authorized(self._authorize, provider, model)
            self._calls += 1
            self._running = True
            try:
                made = await make(self._providers[provider], model)
            except ProviderError:
                raise
            except Exception as error:
                raise internal_error(provider, error) from error
        except ProviderError as error:
            called, self._running = self._running, False
            self._note(error)
            if called:
                self._learn(error)
            elif isinstance(error, CircuitOpen):
                self._spent.add(provider)
            raise
        self._running = False
        return made

    async def _authorized(self, authorize: AuthorizeCall, provider: str, model: str) -> None:
        try:
            await authorize(provider, model, self._attempts)
        except ProviderError:
            raise
        except Exception as error:
            if not self._attempts:
                raise
            # Earlier calls may cost something, which only a failure of the request records.
            logger.warning("A fallback could not be authorized: %s", type(error).__name__)
            raise CallNotAuthorized(provider, "was not called: no budget can be checked") from error

    def _note(self, error: ProviderError) -> None:
        """Add the failed call to the attempts."""
        provider, model = self._current
        usage = error.usage
        if usage is None and error.maybe_charged:
            usage = self._summary.usage()
        self._attempts.append(
            Attempt(
                provider,
                model,
                error.code,
                error.message,
                error.status,
                usage,
                error.words,
                error.retry_after,
            )
        )

    def _learn(self, error: ProviderError) -> None:
        """Draw the conclusions of a call that failed: for this request, and for others."""
        provider, model = self._current
        self.circuits.failed(provider, error)
        if not isinstance(error, _OF_THE_MODEL):
            self._spent.add(provider)
        if isinstance(error, _REJECTED):
            self._rejections += 1
        elif isinstance(error, RateLimited):
            if error.retry_after is None:
                self._limited.append((provider, model))
            else:
                self._cooldowns.limited(provider, model, error.retry_after)

    def _settle(self, delivered: bool) -> None:
        self.circuits.settle()
        # If every provider refuses without a word of waiting, the request itself may be why.
        if self._limited and (delivered or len({provider for provider, _ in self._limited}) == 1):
            for provider, model in self._limited:
                self._cooldowns.limited(provider, model, None)


def internal_error(provider: str, error: Exception) -> InternalError:
    """Log an error that a client of ours must not raise, and return the one to record.

    The log names its type and place only; the message may hold a prompt.
    """
    kind, place = type(error).__name__, _place_of(error)
    logger.error("A call of %s failed by an error of ours: %s at %s", provider, kind, place)
    return InternalError(provider, f"could not be called or read, by an error of ours ({kind})")


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return "unknown place"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
