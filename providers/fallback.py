"""What a request has tried so far, and what its failures mean for its next call and for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from providers.attempts import Attempt
from providers.chat import Chat
from providers.completion import Usage
from providers.cooldowns import Cooldowns
from providers.errors import (
    CallNotAuthorized,
    CircuitOpen,
    ContentBlocked,
    EmptyCompletion,
    MembersBusy,
    ModelNotFound,
    PermissionDenied,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    RequestTooLarge,
)
from providers.pools.member import Member
from providers.pools.pool import MemberPool
from providers.request_circuits import RequestCircuits
from providers.values import frozen

# A longer wait for one provider is worse than a call of the next one.
_LONGEST_WAIT_SECONDS = 3.0
# Errors of the request itself. One more provider may understand it; a third is not asked.
_REJECTED = (RequestRejected, RequestTooLarge, ContentBlocked)
_MOST_REJECTIONS = 2
# OpenAI answers 429 where a tier is full, Google 503, Groq 498.
# https://developers.openai.com/api/docs/guides/flex-processing,
# https://ai.google.dev/gemini-api/docs/flex-inference, https://console.groq.com/docs/flex-processing
_NO_CAPACITY = (RateLimited, ProviderUnavailable)
_UNKNOWN_TIER = (RequestRejected, PermissionDenied, ModelNotFound)
# Errors of one model or one call; all others make another provider the better choice.
_OF_THE_MODEL = (ModelNotFound, EmptyCompletion, CallNotAuthorized)


@dataclass(frozen=True, slots=True)
class ResiliencePolicy:
    """The limits of retries, calls, circuit breakers and time.

    ``retries`` follow the first call of the same model, ``max_calls`` is for all models.
    ``breaker_failures`` within ``breaker_window`` stop calls of a provider for
    ``breaker_seconds``. ``deadline``, in seconds, is for the whole request with all its models.
    ``place_wait`` are the seconds that a call waits for a place where all members of a pool have as
    many calls as they may, and no other provider may answer.
    """

    retries: int = 1
    max_calls: int = 4
    breaker_failures: int = 5
    breaker_window: float = 60.0
    breaker_seconds: float = 30.0
    deadline: float = 600.0
    place_wait: float = 10.0


@frozen
class InputSummary:
    """What a request asks, as far as its failures need it.

    ``usage`` estimates the tokens of its input, ``lost`` those of its input and of all the
    output that it allows. ``digest`` is a hash of it, ``caller`` is who sent it, "" if unknown.
    ``residency`` are the regions that it must not leave, ``chat`` is what it asks, if it is a chat.
    """

    usage: Callable[[], Usage]
    lost: Callable[[], Usage]
    digest: Callable[[], int]
    caller: str = ""
    residency: frozenset[str] = frozenset()
    chat: Chat | None = None


@dataclass(slots=True)
class FallbackState:
    """The calls of one request.

    ``remaining`` are the models that were not called yet, ``current`` is the one that is called
    now, or was last; ``running`` is whether a call of it is under way, and ``reported`` is what
    it has reported of its usage so far. ``whole`` is whether the answer is not streamed.
    ``service_tier`` is the tier that the calls ask for, "" for the standard one: that another
    tier cannot answer says nothing of the model and its provider. ``refused`` is whether the tier
    refused the request. ``pool`` and ``member`` are those of the call, if its provider has a pool;
    ``tried`` are the members that failed with this model.
    """

    policy: ResiliencePolicy
    circuits: RequestCircuits
    cooldowns: Cooldowns
    summary: InputSummary
    attempts: list[Attempt]
    remaining: list[tuple[str, str]]
    current: tuple[str, str] = ("", "")
    whole: bool = True
    calls: int = 0
    running: bool = False
    reported: Usage | None = None
    service_tier: str = ""
    refused: bool = False
    pool: MemberPool | None = None
    member: Member | None = None
    tried: set[str] = field(default_factory=set)
    _found_busy: bool = False
    _rejections: int = 0
    _spent: set[str] = field(default_factory=set)
    _limited: list[tuple[str, str]] = field(default_factory=list)

    def choose_next(self) -> bool:
        """Choose the model to call after a failure, and return whether there is one."""
        if not self.remaining or self.calls >= self.policy.max_calls:
            return False
        if self._rejections >= _MOST_REJECTIONS:
            return False
        self.current = min(self.remaining, key=self._reluctance)
        self.remaining.remove(self.current)
        self.pool = self.member = None
        self.tried.clear()
        return True

    @property
    def place_wait(self) -> float:
        """The seconds to wait for a place in the pool: none where another provider may answer."""
        provider, _ = self.current
        others = any(name != provider for name, _ in self.remaining)
        if self._found_busy or (others and self.calls < self.policy.max_calls):
            return 0.0
        return self.policy.place_wait

    def choose_member(self, error: ProviderError) -> bool:
        """Return whether another member of the pool is to be called after ``error``."""
        return self.calls < self.policy.max_calls and self._has_another(error)

    def _has_another(self, error: ProviderError) -> bool:
        if self.pool is None or self.member is None:
            return False
        return self.pool.has_another(self.current[1], self.summary.residency, self.tried, error)

    def note_deadline(self) -> None:
        """Note that the call that was running, or the wait, took all the time of the request."""
        provider, _ = self.current
        late = ProviderTimeout(provider, "did not answer before the request's deadline")
        late.maybe_charged = self.running
        if self.running or not self.attempts:
            self.note(late)
        if self.running and not self.service_tier:
            self.circuits.failed(provider, late)

    def _reluctance(self, model: tuple[str, str]) -> tuple[bool, bool]:
        """Return the order of a fallback: models of other providers first, limited ones last."""
        return self.cooldowns.remaining(*model) > 0, model[0] in self._spent

    def backoff(self, error: Exception) -> bool | float:
        """Return, for stamina, whether to call the model again, or after how many seconds.

        It is called again only if the provider did not accept the request, and if every other
        provider of the chain can still have a call.
        """
        if not isinstance(error, ProviderError) or not error.retryable or error.maybe_charged:
            return False
        if self.pool is not None and self._has_another(error):
            return False  # at once, and not this one
        wait = error.retry_after
        if wait is None:
            if isinstance(error, RateLimited):
                return False
        elif wait > _LONGEST_WAIT_SECONDS:
            return False
        others = {provider for provider, _ in self.remaining} - self._spent
        if self.policy.max_calls - self.calls <= len(others):
            return False
        return True if wait is None else wait

    def refuse_limited(self) -> None:
        """Raise :class:`providers.errors.RateLimited` if a call of the model is useless."""
        provider, model = self.current
        wait = self.cooldowns.refused_for(provider, model)
        if wait is not None:
            words = f"limits the rate of calls for {wait:.0f} s more and was not called"
            raise RateLimited(provider, words, retry_after=wait)

    def note(self, error: ProviderError) -> None:
        """Add the failed call to the attempts."""
        provider, model = self.current
        usage = error.usage
        if usage is None and error.maybe_charged:
            # A stream ends with its connection, a whole answer is written to its end.
            lost = self.whole and not isinstance(error, EmptyCompletion)
            usage = self.reported or (self.summary.lost() if lost else self.summary.usage())
            if self.service_tier:
                usage = replace(usage, service_tier=self.service_tier)
            elif self.member is not None:
                usage = self.member.priced(usage)
        self.attempts.append(
            Attempt(
                provider,
                model,
                error.code,
                error.message,
                error.status,
                usage,
                error.words,
                error.retry_after,
                error.wire,
                error.body,
                error.headers,
                self.service_tier,
                "" if self.member is None else self.member.name,
            )
        )

    def learn(self, error: ProviderError) -> None:
        """Draw the conclusions of a call that failed: for this request, and for others."""
        provider, model = self.current
        if not self.running:  # it was not called
            if isinstance(error, (CircuitOpen, MembersBusy)):
                self._spent.add(provider)
            self._found_busy |= isinstance(error, MembersBusy)
            return
        if self.service_tier:
            self._learn_of_tier(error)
            return
        if self.pool is not None and self._is_of_member(error):
            return
        self.circuits.failed(provider, error)
        if not isinstance(error, _OF_THE_MODEL):
            self._spent.add(provider)
        if isinstance(error, _REJECTED):
            self._rejections += 1
        elif isinstance(error, RateLimited):
            if error.retry_after is None:
                self._limited.append((provider, model))
            else:
                self.cooldowns.limited(provider, model, error.retry_after)

    def _is_of_member(self, error: ProviderError) -> bool:
        """Note that the member failed; return whether another one is left to answer.

        If none is, the client waits no longer than until the first may be called again.
        """
        assert self.pool is not None
        if self.member is not None:
            self.tried.add(self.member.name)
        if self._has_another(error):
            return True
        if isinstance(error, RateLimited) and error.retry_after is not None:
            wait = self.pool.shortest_wait(self.current[1], self.summary.residency)
            error.retry_after = min(error.retry_after, wait)
            self.attempts[-1] = replace(self.attempts[-1], retry_after=error.retry_after)
        return False

    def _learn_of_tier(self, error: ProviderError) -> None:
        """Spare a tier without capacity; ``cooldowns`` are those of the tier."""
        if isinstance(error, _UNKNOWN_TIER):
            self.refused = True
        elif isinstance(error, _NO_CAPACITY):
            self.cooldowns.limited(*self.current, error.retry_after)

    def limit_without_wait(self, delivered: bool) -> None:
        """Spare the models that limit their rate and did not say for how long.

        If every provider does, and none answers, the request itself may be the reason.
        """
        if delivered or len({provider for provider, _ in self._limited}) == 1:
            for provider, model in self._limited:
                self.cooldowns.limited(provider, model, None)
        self._limited.clear()
