"""GET /metrics, for Prometheus."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from optimizer.monitoring.prometheus import CONTENT_TYPE
from optimizer.wiring.build import get_services


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Of all workers of this process's service."""
    return HttpResponse(get_services().meter.exposition(), content_type=CONTENT_TYPE)
