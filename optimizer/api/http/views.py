"""DRF views of the endpoints; they document them and serve what the fast path does not."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from adrf.viewsets import ViewSet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.http.endpoint import ApiEndpoint, ApiRequest, JsonReply, StreamReply
from optimizer.api.http.refusals import note_reply
from optimizer.api.http.sse import EventStream
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.wiring.build import get_services
from optimizer.wiring.services import Services

_REPORTS_AT_ONCE = 2


class ServicesMixin:
    """Gives a view access to the services of the process."""

    @property
    def services(self) -> Services:
        """The services that answer this request."""
        return get_services()


class SyncViewSet(ServicesMixin, viewsets.ViewSet):
    """A view that runs on a thread, for views that read the database."""


class ReportViewSet(SyncViewSet):
    """A view that computes figures, for a few requests of a tenant at the same time.

    Each runs on a thread of its own, and reports keep the interpreter busy: dozens of them would
    leave the event loop, and with it everybody's requests, little time.
    """

    _turns: ClassVar[dict[str, threading.BoundedSemaphore]] = {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Serve the request once its tenant has a turn."""
        client: Client = getattr(request, "scope", {}).get("optimizer.client", ANONYMOUS)
        turns = self._turns.setdefault(client.tenant, threading.BoundedSemaphore(_REPORTS_AT_ONCE))
        with turns:
            return super().dispatch(request, *args, **kwargs)


class AsyncViewSet(ServicesMixin, ViewSet):
    """A view that runs on the event loop.

    ``view_is_async`` saves adrf from inspecting every method on each request.
    """

    view_is_async = True


def tenant_of(request: Request) -> str | None:
    """Return the tenant whose statistics the client may see; ``None`` for all tenants."""
    client = client_of(request)
    return None if "read" in client.scopes else client.tenant


def client_of(request: Request) -> Client:
    """Return the client that the gatekeeper authenticated; anonymous if there is none."""
    scope = getattr(request._request, "scope", {})
    client: Client = scope.get("optimizer.client", ANONYMOUS)
    return client


def request_id_of(request: Request) -> uuid.UUID:
    """Return the request's id."""
    request_id: uuid.UUID = request._request.request_id  # type: ignore[attr-defined]
    return request_id


class EndpointViewSet(AsyncViewSet):
    """Serves ``endpoint``; errors found by DRF are reported in the endpoint's format."""

    endpoint: ClassVar[type[ApiEndpoint]]

    async def serve(self, request: Request) -> HttpResponseBase:
        """Return the endpoint's reply as a Django response."""
        headers = request._request.headers
        data = request.data
        reply = await self.endpoint.of(self.services).answer(
            ApiRequest(
                data=data,
                request_id=request_id_of(request),
                client=client_of(request),
                header=lambda name: str(headers.get(name, "")),
                path=request._request.path,
                query=request._request.META.get("QUERY_STRING", ""),
            )
        )
        if isinstance(reply, StreamReply):
            return EventStream(reply.source, reply.leave, dict(reply.headers))
        note_reply(
            self.services, request.path, reply, request_id_of(request), client_of(request), data
        )
        return _response(reply)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponseBase]:
        """Return the handler that reports an error in the endpoint's format."""

        def handle(error: Exception, context: dict[str, Any]) -> HttpResponseBase:
            request_id, client = request_id_of(self.request), client_of(self.request)
            reply = self.endpoint.of(self.services).failed(request_id, error)
            # A body that cannot be read would raise its error again.
            data = getattr(self.request, "_full_data", None)
            note_reply(self.services, self.request.path, reply, request_id, client, data)
            return _response(reply)

        return handle


def _response(reply: JsonReply) -> HttpResponseBase:
    if isinstance(reply.body, bytes):
        return HttpResponse(
            reply.body, "application/json", status=reply.status, headers=dict(reply.headers)
        )
    return Response(reply.body, status=reply.status, headers=dict(reply.headers))
