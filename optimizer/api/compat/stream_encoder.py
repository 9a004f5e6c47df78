"""The interface that encodes a stream in the format of one API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from optimizer.api.http.failure import Failure
from optimizer.domain.result import CompletionResult
from providers.events import AnswerEvent


class StreamEncoder(Protocol):
    """Encodes events as server-sent events of one API; each stream has its own encoder."""

    def encode(self, event: AnswerEvent) -> Iterator[bytes]:
        """Yield the server-sent events for ``event``; called for every event in order."""
        ...

    def finish(self, result: CompletionResult) -> Iterator[bytes]:
        """Yield the events that end the stream; called once the result is recorded."""
        ...

    def error(self, failure: Failure) -> Iterator[bytes]:
        """Yield the event that reports ``failure``; called instead of :meth:`finish`."""
        ...


def stream_summary(result: CompletionResult) -> dict[str, Any]:
    """Return the summary in a stream's last event; other answers have it in their headers."""
    summary: dict[str, Any] = {
        "request_id": str(result.request_id),
        "provider": result.provider,
        "model": result.model,
        "strategy": result.decision.strategy_used,
        "confidence": result.decision.confidence,
        "cost": result.cost,
        "savings": result.savings,
        "cache_hit": result.cache_hit,
    }
    if result.price_basis:
        summary["price_basis"] = result.price_basis
    if result.list_cost is not None:
        summary["list_cost"] = result.list_cost
    if result.dropped:
        summary["dropped"] = result.dropped
    return summary
