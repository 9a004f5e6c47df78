"""How a stream is told to a client: what every wire must be able to say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from optimizer.api.http.failures import Failure
from optimizer.domain.result import CompletionResult
from providers.events import Event


class Teller(Protocol):
    """Turns events into server-sent events of one wire; one a stream.

    ``tell`` is given every event, ``close`` the recorded result at the end,
    ``fail`` what went wrong instead.
    """

    def tell(self, event: Event) -> Iterator[bytes]: ...

    def close(self, result: CompletionResult) -> Iterator[bytes]: ...

    def fail(self, failure: Failure) -> Iterator[bytes]: ...


def told_to_clients(result: CompletionResult) -> dict[str, Any]:
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
