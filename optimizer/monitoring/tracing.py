"""Traces for OpenTelemetry, built from the recorded start and end times of each part.

Prompts and answers are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from analytics.ledger.ledger import LedgerEntry
from analytics.models import RequestRecord, RoutingMetric
from optimizer import __version__
from optimizer.monitoring.conventions import attributes_of_call, operation_of
from optimizer.monitoring.request_context import current_request
from providers.attempts import UNSERVED

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter


class Tracer:
    """Exports two spans per request: the request, and inside it the provider's call.

    If the client sends a ``traceparent``, they become part of its trace.
    """

    def __init__(self, resource: Resource, exporter: SpanExporter) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(resource=resource)
        # Sends in batches from its own thread; drops spans instead of waiting.
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ai-cost-optimizer", __version__)
        self._kinds, self._codes = SpanKind, StatusCode
        self._inside: Callable[..., Any] = set_span_in_context
        self._parent = TraceContextTextMapPropagator()

    def observe(self, entry: LedgerEntry) -> None:
        """Export the spans of a recorded request."""
        request = entry.request
        started_ns = int(request.created_at.timestamp() * 1e9)
        ended_ns = started_ns + int(request.latency_ms * 1e6)
        context = current_request()
        carrier = {"traceparent": context.trace_parent} if context else {}
        name = operation_of(request)
        span = self._tracer.start_span(
            f"{name} {request.requested_model or 'auto'}",
            context=self._parent.extract(carrier),
            kind=self._kinds.SERVER,
            attributes=_request_attributes(request, entry.decision),
            start_time=started_ns,
        )
        if request.provider_ms is not None:
            call = self._tracer.start_span(
                f"{name} {request.model}",
                context=self._inside(span),
                kind=self._kinds.CLIENT,
                attributes=_call_attributes(request),
                start_time=ended_ns - int(request.provider_ms * 1e6),
            )
            call.end(ended_ns)
        if request.status == RequestRecord.Status.ERROR:
            span.set_status(self._codes.ERROR, request.error_code)
        span.end(ended_ns)

    def close(self) -> None:
        """Send what is buffered, and stop."""
        self._provider.shutdown()


def _call_attributes(request: RequestRecord) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        **attributes_of_call(request),
        "gen_ai.response.model": request.model,
        "gen_ai.usage.input_tokens": request.tokens_in,
        "gen_ai.usage.output_tokens": request.tokens_out,
    }
    if request.max_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = request.max_tokens
    if request.finish_reason:
        attributes["gen_ai.response.finish_reasons"] = [request.finish_reason]
    return attributes


def _request_attributes(request: RequestRecord, decision: RoutingMetric | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        **_call_attributes(request),
        "optimizer.request_id": str(request.pk),
        "optimizer.endpoint": request.endpoint,
        "optimizer.strategy": request.strategy,
        "optimizer.confidence": request.confidence,
        "optimizer.pattern": request.pattern,
        "optimizer.tier": request.tier,
        "optimizer.complexity": request.complexity,
        "optimizer.cache_hit": request.cache_hit,
        "optimizer.streamed": request.streamed,
        "optimizer.fallbacks": sum(one["error"] not in UNSERVED for one in request.attempts),
    }
    # USD as text, so that amounts stay exact.
    if request.cost is not None:
        attributes["optimizer.cost_usd"] = f"{request.cost:f}"
    if request.savings is not None:
        attributes["optimizer.savings_usd"] = f"{request.savings:f}"
    if decision is not None and decision.baseline_model:
        attributes["optimizer.baseline_model"] = decision.baseline_model
    if request.error_code:
        attributes["error.type"] = request.error_code
    return attributes
