"""How long a request took, and how that is measured."""

from __future__ import annotations

import time

from providers.values import frozen


@frozen
class Timing:
    """The duration of a request, in milliseconds.

    ``total`` is the time until the answer was complete, ``provider`` the part of it since the
    first call, ``first_token`` the time until the first content of a stream.
    """

    total: float
    provider: float | None = None
    first_token: float | None = None


@frozen
class CallClock:
    """When a request ``started`` and the provider was ``called``, by ``time.perf_counter``."""

    started: float
    called: float

    def timing(self, first_token: float | None = None) -> Timing:
        """Return the time until now; ``first_token`` is in milliseconds."""
        now = time.perf_counter()
        return Timing((now - self.started) * 1000, (now - self.called) * 1000, first_token)


def milliseconds_since(started: float) -> float:
    """Return the milliseconds since ``started``, a reading of ``time.perf_counter``."""
    return (time.perf_counter() - started) * 1000
