"""Metrics for OpenTelemetry: the conventions' histograms of provider calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.ledger.ledger import LedgerEntry
from analytics.models import RequestRecord
from optimizer import __version__
from optimizer.monitoring.conventions import (
    DURATIONS,
    FIRST_TOKEN,
    TOKENS,
    attributes_of_call,
    is_call,
    seconds_of_call,
)  # fmt: skip

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource


class OtlpMetrics:
    """Records provider calls; ``reader`` exports the metrics from its own thread."""

    def __init__(self, resource: Resource, reader: MetricReader) -> None:
        from opentelemetry.sdk.metrics import MeterProvider

        self._provider = MeterProvider([reader], resource)
        meter = self._provider.get_meter("ai-cost-optimizer", __version__)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="Duration of provider calls, including retries and fallbacks.",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens of provider calls.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._first = meter.create_histogram(
            "gen_ai.server.time_to_first_token",
            unit="s",
            description="Time to the first token of streams, from the request's arrival.",
            explicit_bucket_boundaries_advisory=FIRST_TOKEN,
        )

    def observe(self, entry: LedgerEntry) -> None:
        """Record the request if a provider was called for it."""
        request = entry.request
        if not is_call(request):
            return
        call = attributes_of_call(request)
        failed = {"error.type": request.error_code} if request.error_code else {}
        self._duration.record(seconds_of_call(request), {**call, **failed})
        if request.status == RequestRecord.Status.ERROR:
            return
        self._tokens.record(request.tokens_in, {**call, "gen_ai.token.type": "input"})
        self._tokens.record(request.tokens_out, {**call, "gen_ai.token.type": "output"})
        if request.ttft_ms is not None:
            self._first.record(request.ttft_ms / 1000, call)

    def close(self) -> None:
        """Send what is buffered, and stop."""
        self._provider.shutdown()
