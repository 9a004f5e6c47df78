"""Providers from which nothing comes: they keep no more than a part of this process's places.

A provider that hangs fails nothing until its calls time out, minutes later, so no circuit opens.
Meanwhile its calls could take every place. Here a call waits from its beginning until its answer,
its first content or its failure.
"""

from __future__ import annotations

import time
from collections import defaultdict

from providers.errors import CircuitOpen

SILENT_SECONDS = 10.0
"""A provider is silent if no call of it has ended for so long while one was waiting."""


class Silence:
    """The calls that wait for each provider.

    Of a silent provider, at most ``most`` calls may wait; further ones are refused at once, so
    that their requests go to other providers or end. 0 is any number.

    Whoever makes a call puts it into ``waiting`` with the time at which it began (a reading of
    ``time.monotonic``), and takes it out when it ends, noting the time in ``ended_at``.
    """

    def __init__(self, most: int = 0) -> None:
        self.most = most or float("inf")
        self.waiting: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self.ended_at: dict[str, float] = {}

    def seconds(self, provider: str) -> float:
        """Return for how long nothing has come although a call was waiting; 0 if none waits."""
        waiting = self.waiting.get(provider)
        if not waiting:
            return 0.0
        # Calls begin one after the other, so the first is the oldest.
        since = max(next(iter(waiting.values())), self.ended_at.get(provider, 0.0))
        return time.monotonic() - since

    def providers(self) -> list[str]:
        """Return the silent providers."""
        return [p for p in list(self.waiting) if self.seconds(p) >= SILENT_SECONDS]

    def refuse(self, provider: str) -> None:
        """Raise :class:`providers.errors.CircuitOpen` if the provider is silent."""
        if self.seconds(provider) >= SILENT_SECONDS:
            raise CircuitOpen(
                provider,
                f"was not called: {len(self.waiting[provider])} calls of it are waiting, and none"
                f" has been answered for {SILENT_SECONDS:.0f} s",
            )
