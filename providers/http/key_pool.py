"""Several API keys of one provider: when one is limited or refused, the next one is used.

The keys have an order, and the first one that is not spared is used. So the capacity that is
named first is used first, and conversations find the prompt cache of the account they began with.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from providers.cooldowns import Cooldowns
from providers.errors import (
    AuthenticationFailed,
    InsufficientCredit,
    PermissionDenied,
    ProviderError,
    RateLimited,
)

logger = logging.getLogger(__name__)

Made = TypeVar("Made")
_OF_THE_KEY = (RateLimited, AuthenticationFailed, InsufficientCredit, PermissionDenied)
_REFUSED_FOR = 300.0
"""Seconds for which a key is spared that is wrong, or whose account has no credit."""
_MOST_TRIES = 4


class KeyPool:
    """The API keys of one provider, at least two. ``clock`` returns seconds.

    ``on_change`` is called with the number of a key and the seconds for which it is spared.
    """

    def __init__(
        self, provider: str, keys: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.provider = provider
        self.keys = tuple(keys)
        self.on_change: Callable[[int, float], None] = lambda number, seconds: None
        self._cooldowns = Cooldowns(clock)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.provider}: {len(self.keys)} keys>"

    def with_key(self, headers: Mapping[str, str], key: str) -> Mapping[str, str]:
        """Return ``headers`` with ``key`` in place of the first one."""
        first = self.keys[0]
        if key == first:
            return headers
        return {name: value.replace(first, key) for name, value in headers.items()}

    async def first(self, call: Callable[[str], Awaitable[Made]]) -> Made:
        """Return what ``call`` returns with the first key that may be used.

        A key that is limited or refused is spared, and the next one is used. Raises the
        :class:`ProviderError` of the last key, or at once one that other keys would not change.
        """
        numbers = self._usable()[:_MOST_TRIES]
        for number in numbers:
            try:
                made = await call(self.keys[number])
            except _OF_THE_KEY as error:
                self._failed(number, error)
                if number == numbers[-1]:
                    self._set_wait(error)
                    raise
            else:
                if self._cooldowns.models:
                    self._cooldowns.answered(self.provider, str(number))
                return made
        raise AssertionError("there is always a key to use")

    def spare(self, number: int, seconds: float) -> None:
        """Use the other keys for so long: another worker got an error with this one."""
        if 0 <= number < len(self.keys):
            self._cooldowns.limited(self.provider, str(number), seconds)

    def spared(self) -> dict[int, float]:
        """Return the numbers of the keys that are spared, each with for how many seconds."""
        return {int(number): left for (_, number), left in self._cooldowns.all().items()}

    def _usable(self) -> list[int]:
        """Return the keys in the order in which to use them; if all are spared, the soonest."""
        every = range(len(self.keys))
        if not self._cooldowns.models:
            return list(every)
        waits = [self._cooldowns.remaining(self.provider, str(number)) for number in every]
        usable = [number for number in every if not waits[number]]
        return usable or [min(every, key=waits.__getitem__)]

    def _failed(self, number: int, error: ProviderError) -> None:
        ref = (self.provider, str(number))
        limited = isinstance(error, RateLimited)
        self._cooldowns.limited(*ref, error.retry_after if limited else _REFUSED_FOR)
        seconds = self._cooldowns.remaining(*ref)
        self.on_change(number, seconds)
        logger.log(
            logging.INFO if limited else logging.WARNING,
            "Key %d of %d of %s is spared for %.0f s: it %s",
            number + 1, len(self.keys), self.provider, seconds, error.message,
        )  # fmt: skip

    def _set_wait(self, error: ProviderError) -> None:
        """Let the client wait no longer than until the first key may be used again."""
        if isinstance(error, RateLimited) and error.retry_after is not None:
            waits = [
                self._cooldowns.remaining(self.provider, str(n)) for n in range(len(self.keys))
            ]
            error.retry_after = min(error.retry_after, *waits)
