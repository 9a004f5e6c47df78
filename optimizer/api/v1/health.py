"""GET /health, /ready and /metrics: what load balancers and monitoring ask all the time."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.views import SyncViewSet
from optimizer.api.v1.schema import HealthBody, ReadyBody
from optimizer.monitoring.health import health, readiness
from optimizer.monitoring.prometheus import CONTENT_TYPE
from optimizer.wiring.build import get_services
from providers.resilience import ResilientCaller


def available_now(caller: ResilientCaller) -> list[str]:
    """Return the configured providers whose circuit is not open."""
    return sorted(name for name in caller.providers if caller.circuit_state(name) != "open")


class HealthViewSet(SyncViewSet):
    """Serves ``GET /health``."""

    @extend_schema(
        operation_id="health", tags=["reports"], responses={200: HealthBody, 503: HealthBody}
    )
    def retrieve(self, request: Request) -> Response:
        """Return whether the service can answer requests; 503 if it cannot."""
        services = self.services
        body = health(
            available_now(services.caller),
            silent=services.caller.silence.providers(),
            journal_backlog=services.ledger.journal_backlog,
            can_record=services.ledger.health.can_record,
        )
        return Response(body, status=200 if body["status"] == "ok" else 503)


class ReadyViewSet(SyncViewSet):
    """Serves ``GET /ready``."""

    @extend_schema(
        operation_id="ready", tags=["reports"], responses={200: ReadyBody, 503: ReadyBody}
    )
    def retrieve(self, request: Request) -> Response:
        """Return whether this worker accepts requests, for load balancers; 503 if it does not."""
        services = self.services
        body = readiness(
            list(services.registry.providers),
            ending=services.ending,
            keys_known=services.api_keys.known,
            budgets_known=services.budgets.known,
            records=services.ledger.health,
        )
        return Response(body, status=200 if body["status"] == "ready" else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics of all workers in the Prometheus text format."""
    return HttpResponse(get_services().meter.exposition(), content_type=CONTENT_TYPE)
