"""The same endpoints as DRF views: what documents them, and serves what is out of the ordinary."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.http.asynchronous import AsyncViewSet
from optimizer.api.http.clients import client_of
from optimizer.api.http.endpoint import ApiEndpoint, ApiRequest, StreamReply
from optimizer.api.http.sse import EventStream


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
