"""The endpoints as DRF views: they document the endpoints and serve unusual requests."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from adrf.viewsets import ViewSet
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.http.endpoint import ApiEndpoint, ApiRequest, StreamReply
from optimizer.api.http.sse import EventStream
from optimizer.domain.client import ANONYMOUS, Client


class AsyncViewSet(ViewSet):
    """Says once what adrf would otherwise find out by looking at every method, each request."""

    view_is_async = True


def tenant_of(request: Request) -> str | None:
    """Whose statistics ``request`` may see: its own tenant's; ``None`` where everybody's."""
    client = client_of(request)
    return None if "read" in client.scopes else client.tenant


def client_of(request: Request) -> Client:
    """As the gatekeeper found; anyone where it does not stand before the views."""
    scope = getattr(request._request, "scope", {})
    found: Client = scope.get("optimizer.client", ANONYMOUS)
    return found


def request_id_of(request: Request) -> uuid.UUID:
    found: uuid.UUID = request._request.request_id  # type: ignore[attr-defined]
    return found


class EndpointViewSet(AsyncViewSet):
    """Serves ``endpoint``; what DRF itself finds wrong is told in the endpoint's words."""

    endpoint: ClassVar[ApiEndpoint]

    async def serve(self, request: Request) -> HttpResponseBase:
        headers = request._request.headers
        reply = await self.endpoint.answer(
            ApiRequest(
                data=request.data,
                request_id=request_id_of(request),
                client=client_of(request),
                header=lambda name: str(headers.get(name, "")),
            )
        )
        if isinstance(reply, StreamReply):
            return EventStream(reply.source, reply.leave, dict(reply.headers))
        return Response(reply.body, status=reply.status, headers=dict(reply.headers))

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        def handle(error: Exception, context: dict[str, Any]) -> Response:
            reply = self.endpoint.failed(request_id_of(self.request), error)
            return Response(reply.body, status=reply.status, headers=dict(reply.headers))

        return handle
