"""Models that said "too many requests" (429), and for how long they are spared.

A provider limits each key and model by itself, and there is one key per provider. So a 429 tells
nothing about the provider's other models, and nothing about its health.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_FIRST_GUESS = 1.0
_LONGEST_GUESS = 30.0
_LONG = 60.0
"""A client is told to wait longer than this without a call, but one call a time asks anew."""


@dataclass(slots=True)
class _Cooldown:
    """``until`` and ``received`` are points in time; ``guess`` is 0 if the wait was given."""

    until: float
    received: float
    guess: float


class Cooldowns:
    """The models that are spared because they limit the rate of calls.

    Times are seconds. A 429 without a wait spares the model for a second, and for twice as long
    each time it follows another. While ``models`` is empty, no limit is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.models: dict[tuple[str, str], _Cooldown] = {}

    def limited(self, provider: str, model: str, retry_after: float | None) -> None:
        """Spare the model for as long as its provider said; what it said last holds."""
        now = self._clock()
        ref = (provider, model)
        if retry_after is not None:
            self.models[ref] = _Cooldown(now + retry_after, now, 0.0)
            return
        before = self.models.get(ref)
        if before is not None and not before.guess and before.until > now:
            return  # what it said still holds
        guess = min(2 * before.guess, _LONGEST_GUESS) if before is not None else 0.0
        guess = guess or _FIRST_GUESS
        self.models[ref] = _Cooldown(now + guess, now, guess)

    def answered(self, provider: str, model: str) -> None:
        """Forget the model's limit, because it answers."""
        self.models.pop((provider, model), None)

    def remaining(self, provider: str, model: str) -> float:
        """Return for how long the model is spared, 0 if it is not."""
        cooldown = self.models.get((provider, model))
        return max(0.0, cooldown.until - self._clock()) if cooldown else 0.0

    def refused_for(self, provider: str, model: str) -> float | None:
        """Return the wait if a call is useless: the provider asked, lately, for a long one."""
        cooldown = self.models.get((provider, model))
        if cooldown is None or cooldown.guess:
            return None
        now = self._clock()
        wait = cooldown.until - now
        return wait if wait > _LONG and now - cooldown.received < _LONG else None

    def all(self) -> dict[tuple[str, str], float]:
        """Return the models that are spared now, each with for how long."""
        now = self._clock()
        return {ref: c.until - now for ref, c in self.models.items() if c.until > now}
