"""A member of a pool while the service runs: what it is doing, how fast it is, what it has left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from providers.completion import Usage
from providers.http.wire import WireClient
from providers.pools.rate_headers import RateLimitsLeft, Remaining
from providers.pools.spec import COMMITTED_TIER, MemberSpec

_WEIGHT_OF_NEW = 0.2
"""The weight of a measurement that is below the average; one above it counts by half."""
_FORGET_SECONDS = 60.0
_MOST_MODELS = 500
_USUAL_TOKENS = 300
"""The length of an answer, in tokens, for which members are compared."""


@dataclass(slots=True)
class _Left:
    """What is ``left`` of one limit: what headers said, less what was sent since."""

    left: float
    limit: int
    until: float

    def allows(self, amount: float, now: float) -> bool:
        """Return whether ``amount`` is left; after the reset, anything is."""
        return now >= self.until or self.left >= amount

    def share(self, now: float) -> float:
        """Return the share of the limit that is left, 0-1; 1 where nothing is known."""
        if now >= self.until or not self.limit:
            return 1.0
        return max(0.0, min(1.0, self.left / self.limit))


@dataclass(slots=True)
class Measured:
    """A moving average that rises faster than it falls; ``at`` is when it last changed (s)."""

    value: float = 0.0
    at: float = 0.0

    def add(self, value: float, now: float) -> None:
        """Take a new measurement in."""
        if not self.at:
            self.value = value
        else:
            self.value += (0.5 if value > self.value else _WEIGHT_OF_NEW) * (value - self.value)
        self.at = now


@dataclass(slots=True)
class Member:
    """One member and its state in this worker.

    ``busy`` are its calls in progress, ``answered`` and ``failed`` count those that have ended.
    ``owed`` is how much of its weight it has not been given yet. ``opening`` are the seconds until
    the first content, ``per_token`` the seconds for each token after it. ``full_until``
    is the time of the pool's clock until which other workers are taken to have all its places.
    """

    spec: MemberSpec
    client: WireClient
    busy: int = 0
    answered: int = 0
    failed: int = 0
    owed: float = 0.0
    last_error: str = ""
    probing_until: float = 0.0
    full_until: float = 0.0
    opening: Measured = field(default_factory=Measured)
    per_token: Measured = field(default_factory=Measured)
    _requests: dict[str, _Left] = field(default_factory=dict)
    _tokens: dict[str, _Left] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its short name."""
        return self.spec.name

    def serves(self, model: str, residency: frozenset[str]) -> bool:
        """Return whether it has the model, within all regions of ``residency``."""
        spec = self.spec
        return residency <= spec.regions and (spec.models is None or model in spec.models)

    def has_place(self, now: float) -> bool:
        """Return whether it may have one more call in progress."""
        most = self.spec.most_at_once
        return most is None or (self.busy < most and now >= self.full_until)

    def has_room(self, model: str, tokens: int, now: float) -> bool:
        """Return whether it may take one more call with so many tokens of input, by its limits."""
        if not self.has_place(now):
            return False
        requests, left = self._requests.get(model), self._tokens.get(model)
        if requests is not None and not requests.allows(1, now):
            return False
        return left is None or left.allows(tokens, now)

    def begin(self, model: str, tokens: int) -> None:
        """Note that a call begins; what it takes of the limits is not left for others."""
        self.busy += 1
        if (requests := self._requests.get(model)) is not None:
            requests.left -= 1
        if (left := self._tokens.get(model)) is not None:
            left.left -= tokens

    def give_back(self, model: str, tokens: int) -> None:
        """End a call that was not made."""
        self.busy -= 1
        self.probing_until = 0.0
        if (requests := self._requests.get(model)) is not None:
            requests.left += 1
        if (left := self._tokens.get(model)) is not None:
            left.left += tokens

    def note_limits(self, model: str, limits: RateLimitsLeft, now: float) -> None:
        """Take what the headers of an answer say is left."""
        if len(self._requests) >= _MOST_MODELS:  # clients may invent names without end
            self._requests.clear()
            self._tokens.clear()
        if limits.requests is not None:
            self._requests[model] = _left_of(limits.requests, now)
        if limits.tokens is not None:
            self._tokens[model] = _left_of(limits.tokens, now)

    def share_left(self, model: str, now: float) -> float:
        """Return the share of its limits that is left, 0-1."""
        known = (self._requests.get(model), self._tokens.get(model))
        return min((left.share(now) for left in known if left is not None), default=1.0)

    def least_left(self, now: float) -> float | None:
        """Return the least share that is left of any limit; ``None`` if it has said none."""
        lefts = [*self._requests.values(), *self._tokens.values()]
        return min((left.share(now) for left in lefts), default=None)

    def priced(self, usage: Usage) -> Usage:
        """Return the usage with what the member's own price depends on."""
        spec = self.spec
        if spec.committed:
            usage = replace(usage, service_tier=COMMITTED_TIER)
        if spec.provider.geography and not usage.geography:
            usage = replace(usage, geography=spec.provider.geography)
        return usage

    @property
    def expected_seconds(self) -> float | None:
        """Seconds that an answer of usual length takes; ``None`` before the first."""
        if not self.opening.at:
            return None
        return self.opening.value + _USUAL_TOKENS * self.per_token.value

    def cost_of_waiting(self, now: float, best: float) -> float:
        """Return the seconds until a new call would be answered, behind those in progress."""
        expected = self.expected_seconds
        if expected is None:
            return best * (self.busy + 1)
        age = max(0.0, now - self.opening.at)
        aged = best + (expected - best) * math.exp(-age / _FORGET_SECONDS)
        return aged * (self.busy + 1)

    def state(self, now: float, *, share: float, spared: Mapping[str, float]) -> MemberState:
        """Return the member as it is now, with its ``share`` (0-1) of the pool's answers.

        ``spared`` are the seconds for which it is not called, by model, "" for all of them.
        """
        spec = self.spec
        return MemberState(
            name=spec.name,
            weight=spec.weight,
            regions=tuple(sorted(spec.regions)),
            committed=spec.committed,
            most_at_once=spec.most_at_once,
            busy=self.busy,
            answered=self.answered,
            failed=self.failed,
            share=share,
            spared=spared.get("", 0.0),
            spared_models={model: seconds for model, seconds in spared.items() if model},
            last_error=self.last_error,
            seconds=self.expected_seconds,
            left=self.least_left(now),
        )


@dataclass(frozen=True, slots=True)
class MemberState:
    """A member as an operator sees it; its key is no part of it.

    ``spared`` are the seconds for which it is not called, ``spared_models`` those of its models.
    ``seconds`` is how long an answer of usual length takes, ``left`` the least share (0-1) of its
    rate limits; both are ``None`` while unknown. ``share`` is its share of the answers.
    """

    name: str
    weight: float
    regions: tuple[str, ...]
    committed: bool
    most_at_once: int | None
    busy: int
    answered: int
    failed: int
    share: float
    spared: float
    spared_models: dict[str, float]
    last_error: str
    seconds: float | None
    left: float | None

    @property
    def share_percent(self) -> float:
        """Its share of the answers in percent."""
        return 100 * self.share

    @property
    def left_percent(self) -> float | None:
        """The least share of its rate limits that is left, in percent."""
        return None if self.left is None else 100 * self.left


def _left_of(limits: Remaining, now: float) -> _Left:
    return _Left(float(limits.left), limits.limit, now + limits.seconds)
