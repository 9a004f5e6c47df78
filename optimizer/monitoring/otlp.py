"""Traces and metrics over OTLP, where OpenTelemetry's own variables ask for them:
OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME and the rest.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from optimizer import __version__
from optimizer.monitoring.otlp_metrics import Counts
from optimizer.monitoring.tracing import Tracer

if TYPE_CHECKING:
    from analytics.ledger.ledger import Observer

logger = logging.getLogger(__name__)

_ANY = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Telemetry:
    """What is sent. ``observers`` are to be told of requests."""

    def __init__(self, tracer: Tracer | None, counts: Counts | None) -> None:
        self._parts = [part for part in (tracer, counts) if part is not None]

    @property
    def observers(self) -> list[Observer]:
        return [part.observe for part in self._parts]

    def close(self) -> None:
        """Send what is waiting."""
        for part in self._parts:
            part.close()


def configured_telemetry() -> Telemetry:
    """By what the environment says."""
    traces = _wanted("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
    metrics = _wanted("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_METRICS_EXPORTER")
    if not traces and not metrics:
        return Telemetry(None, None)
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    except ImportError:
        logger.warning(
            "%s is set, but its packages are not installed: "
            "pip install -r requirements/observability.txt",
            _ANY,
        )
        return Telemetry(None, None)
    return Telemetry(
        Tracer(this_service(), OTLPSpanExporter()) if traces else None,
        Counts(this_service(), PeriodicExportingMetricReader(OTLPMetricExporter()))
        if metrics
        else None,
    )


def _wanted(endpoint: str, exporter: str) -> bool:
    somewhere = os.environ.get(_ANY) or os.environ.get(endpoint)
    return bool(somewhere) and os.environ.get(exporter, "otlp") != "none"


def this_service() -> Any:
    """Who speaks, as a resource."""
    from opentelemetry.sdk.resources import Resource

    named = os.environ.get("OTEL_SERVICE_NAME", "ai-cost-optimizer")
    return Resource.create({"service.name": named, "service.version": __version__})
