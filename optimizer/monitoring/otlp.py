"""Traces and metrics over OTLP, configured by OpenTelemetry's own environment variables.

These are OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME and the rest.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from optimizer import __version__
from optimizer.monitoring.otlp_metrics import OtlpMetrics
from optimizer.monitoring.tracing import Tracer

if TYPE_CHECKING:
    from analytics.ledger.ledger import Observer

logger = logging.getLogger(__name__)

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Telemetry:
    """The exporters in use: traces, metrics, both or none."""

    def __init__(self, tracer: Tracer | None, metrics: OtlpMetrics | None) -> None:
        self._exporters = [part for part in (tracer, metrics) if part is not None]

    @property
    def observers(self) -> list[Observer]:
        """The observers to call with each recorded request."""
        return [exporter.observe for exporter in self._exporters]

    def close(self) -> None:
        """Send what is buffered, and stop."""
        for exporter in self._exporters:
            exporter.close()


def configured_telemetry() -> Telemetry:
    """Return the exporters that the environment configures.

    Logs a warning if the packages for them are not installed.
    """
    traces = _enabled("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
    metrics = _enabled("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_METRICS_EXPORTER")
    if not traces and not metrics:
        return Telemetry(None, None)
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    except ImportError:
        logger.warning(
            "%s is set, but the packages for it are not installed: "
            "pip install -r requirements/observability.txt",
            _ENDPOINT,
        )
        return Telemetry(None, None)
    return Telemetry(
        Tracer(this_service(), OTLPSpanExporter()) if traces else None,
        OtlpMetrics(this_service(), PeriodicExportingMetricReader(OTLPMetricExporter()))
        if metrics
        else None,
    )


def _enabled(endpoint: str, exporter: str) -> bool:
    address = os.environ.get(_ENDPOINT) or os.environ.get(endpoint)
    return bool(address) and os.environ.get(exporter, "otlp") != "none"


def this_service() -> Any:
    """Return this service as an OpenTelemetry resource: its name and version."""
    from opentelemetry.sdk.resources import Resource

    name = os.environ.get("OTEL_SERVICE_NAME", "ai-cost-optimizer")
    return Resource.create({"service.name": name, "service.version": __version__})
