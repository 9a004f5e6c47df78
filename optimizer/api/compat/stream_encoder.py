"""How a stream is told to a client: what every wire must be able to say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from optimizer.api.http.failures import Failure
from optimizer.domain.result import CompletionResult
from providers.events import Event


class StreamEncoder(Protocol):
    """Turns events into server-sent events of one wire; one a stream.

    ``encode`` is given every event, ``finish`` the recorded result at the end,
    ``error`` what went wrong instead.
    """

    def encode(self, event: Event) -> Iterator[bytes]: ...

    def finish(self, result: CompletionResult) -> Iterator[bytes]: ...

    def error(self, failure: Failure) -> Iterator[bytes]: ...


def stream_summary(result: CompletionResult) -> dict[str, Any]:
    """What a stream's last event says of the whole; other answers say it in their headers."""
    return {
        "request_id": str(result.request_id),
        "provider": result.provider,
        "model": result.model,
        "strategy": result.decision.strategy_used,
        "confidence": result.decision.confidence,
        "cost": result.cost,
        "savings": result.savings,
        "cache_hit": result.cache_hit,
    }
