"""Providers from which nothing comes: they keep no more than a part of this process's places.

A provider that hangs fails nothing until its calls time out, minutes later, so no circuit opens.
Meanwhile its calls could take every place. Here a call waits from its beginning until its answer,
its first content or its failure.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict

from providers.errors import CircuitOpen, ProviderError, ProviderTimeout

SILENT_SECONDS = 10.0
"""A provider is silent if no call of it has ended for so long while one was waiting."""


class Silence:
    """The calls that wait for each provider.

    Of a silent provider, at most ``most`` calls may wait, 0 is any number. Further ones are
    refused at once, so that their requests go to other providers or end, but for those of a
    caller with less than an even share: it is not to blame for what others wait for, and its calls
    show whether the provider answers.
    """

    def __init__(self, most: int = 0) -> None:
        self._most = most or float("inf")
        # When each waiting call began, a reading of time.monotonic, and its caller, by a number
        # of its own.
        self._waiting: defaultdict[str, dict[int, tuple[float, str]]] = defaultdict(dict)
        self._ended_at: dict[str, float] = {}

    def call(self, provider: str, caller: str = "") -> WaitingCall:
        """Return the context of a call of ``caller`` that waits for ``provider``.

        Raises :class:`providers.errors.CircuitOpen` if the provider is silent and enough calls
        of it are waiting.
        """
        waiting = self._waiting[provider]
        if (
            len(waiting) >= self._most
            and self.seconds(provider) >= SILENT_SECONDS
            and self._has_its_share(waiting, caller)
        ):
            raise CircuitOpen(
                provider,
                f"was not called: {len(waiting)} calls of it are waiting, and none"
                f" has been answered for {SILENT_SECONDS:.0f} s",
            )
        return WaitingCall(provider, caller, waiting, self._ended_at)

    def _has_its_share(self, waiting: dict[int, tuple[float, str]], caller: str) -> bool:
        calls = Counter(other for _, other in waiting.values())
        return calls[caller] >= max(1.0, self._most / len({*calls, caller}))

    def waiting(self, provider: str) -> int:
        """Return how many calls of the provider wait."""
        return len(self._waiting.get(provider, ()))

    def seconds(self, provider: str) -> float:
        """Return for how long nothing has come although a call was waiting; 0 if none waits."""
        waiting = self._waiting.get(provider)
        if not waiting:
            return 0.0
        # Calls begin one after the other, so the first is the oldest.
        began, _ = next(iter(waiting.values()))
        since = max(began, self._ended_at.get(provider, 0.0))
        return time.monotonic() - since

    def providers(self) -> list[str]:
        """Return the silent providers."""
        return [p for p in list(self._waiting) if self.seconds(p) >= SILENT_SECONDS]


class WaitingCall:
    """A call of a provider, from its beginning until its answer, its first content or its failure.

    A call that is cancelled or times out does not show that its provider answers.
    """

    __slots__ = ("_caller", "_ended_at", "_provider", "_waiting")

    def __init__(
        self,
        provider: str,
        caller: str,
        waiting: dict[int, tuple[float, str]],
        ended_at: dict[str, float],
    ) -> None:
        self._provider, self._caller = provider, caller
        self._waiting, self._ended_at = waiting, ended_at

    def __enter__(self) -> None:
        """Begin to wait."""
        self._waiting[id(self)] = time.monotonic(), self._caller

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Wait no longer, and note the time if the provider answered, be it with an error."""
        del self._waiting[id(self)]
        refused = isinstance(error, ProviderError) and not isinstance(error, ProviderTimeout)
        if error is None or refused:
            self._ended_at[self._provider] = time.monotonic()
