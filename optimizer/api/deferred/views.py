"""/deferred/{id}: follow a request that is answered later, fetch its answer, or cancel it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.deferred.requests import (
    deferred_delete,
    deferred_end,
    deferred_find,
    deferred_state,
)
from analytics.models import DeferredRequest
from optimizer.api.compat.acceptance import deferred_body
from optimizer.api.compat.relay import ALIVE
from optimizer.api.deferred.results import deferred_reply
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import JsonReply
from optimizer.api.http.json_out import as_json
from optimizer.api.http.sse import EventStream, sse_text
from optimizer.api.http.views import AsyncViewSet, client_of
from optimizer.api.v1.errors import error_body
from optimizer.api.v1.schema import DeferredBody, ErrorBody
from optimizer.domain.client import ANONYMOUS

_ID = OpenApiParameter("request_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_LOOK_SECONDS = 2.0
_LOOKS_BETWEEN_SIGNS = 5
_LONGEST_STREAM_LOOKS = 1800
_ASK_AGAIN_SECONDS = "60"
State = DeferredRequest.State


class DeferredViewSet(AsyncViewSet):
    """Serves ``/deferred/{id}`` and what is below it."""

    @extend_schema(
        operation_id="deferred",
        summary="A deferred request",
        tags=["deferred"],
        parameters=[_ID],
        responses={200: DeferredBody, 404: ErrorBody},
    )
    async def retrieve(self, request: Request, request_id: str) -> HttpResponseBase:
        """Return how far a request is, with its answer or its error once it has ended."""
        row = await self._find(request, request_id)
        body = deferred_body(row)
        if row.state not in DeferredRequest.OPEN:
            reply = await deferred_reply(self.services, row, client_of(request))
            body |= {"status_code": reply.status, "result": reply.body}
        return Response(body)

    @extend_schema(
        operation_id="deferred_result",
        summary="The answer of a deferred request",
        tags=["deferred"],
        parameters=[_ID],
        responses={200: OpenApiTypes.OBJECT, 202: DeferredBody, 404: ErrorBody},
    )
    async def result(self, request: Request, request_id: str) -> HttpResponseBase:
        """Return what the client would have got at once; 202 while there is no answer."""
        row = await self._find(request, request_id)
        if row.state in DeferredRequest.OPEN:
            headers = {"Retry-After": _ASK_AGAIN_SECONDS}
            return Response(deferred_body(row), 202, headers=headers)
        reply = await deferred_reply(self.services, row, client_of(request))
        return Response(reply.body, reply.status, headers=dict(reply.headers))

    @extend_schema(
        operation_id="deferred_events",
        summary="Wait for a deferred request",
        tags=["deferred"],
        parameters=[_ID],
        responses={(200, "text/event-stream"): OpenApiTypes.STR, 404: ErrorBody},
    )
    async def events(self, request: Request, request_id: str) -> HttpResponseBase:
        """Return a stream that ends with the event "result", once there is one."""
        row = await self._find(request, request_id)
        return EventStream(self._events(request, row.pk), lambda: None, {})

    @extend_schema(
        operation_id="cancel_deferred",
        summary="Cancel a deferred request",
        tags=["deferred"],
        parameters=[_ID],
        request=None,
        responses={200: DeferredBody, 404: ErrorBody, 409: ErrorBody},
    )
    async def cancel(self, request: Request, request_id: str) -> HttpResponseBase:
        """Cancel a request that has not ended."""
        row = await self._find(request, request_id)
        detail = "The client cancelled the request."
        end = partial(deferred_end, row.pk, State.CANCELLED, "cancelled", detail, 409)
        if not await self._database.run(end):
            return self._refusal(row.pk, "The request has ended, so it cannot be cancelled.")
        return Response(deferred_body(await self._find(request, request_id)))

    @extend_schema(
        operation_id="delete_deferred",
        summary="Delete a deferred request",
        tags=["deferred"],
        parameters=[_ID],
        responses={204: None, 404: ErrorBody, 409: ErrorBody},
    )
    async def destroy(self, request: Request, request_id: str) -> HttpResponseBase:
        """Delete a request that has ended, with its answer."""
        row = await self._find(request, request_id)
        if not await self._database.run(partial(deferred_delete, row.pk)):
            return self._refusal(row.pk, "The request has not ended: cancel it first.")
        return Response(status=204)

    @property
    def _database(self) -> Any:
        return self.services.object_database

    async def _find(self, request: Request, request_id: uuid.UUID | str) -> DeferredRequest:
        client = client_of(request)
        tenant = None if client is ANONYMOUS else client.tenant
        row: DeferredRequest | None = None
        # What is no id is answered as an unknown one is, in the format of this API.
        with suppress(ValueError):
            known = uuid.UUID(str(request_id))
            row = await self._database.run(partial(deferred_find, known, tenant))
        if row is None:
            raise NotFound("There is no deferred request with this id.")
        return row

    @staticmethod
    def _refusal(request_id: uuid.UUID, words: str) -> Response:
        reply = JsonReply(error_body(request_id, 409, words), 409)
        return Response(reply.body, reply.status)

    async def _events(self, request: Request, request_id: uuid.UUID) -> AsyncGenerator[bytes, None]:
        for look in range(_LONGEST_STREAM_LOOKS):
            state = await self._database.run(partial(deferred_state, request_id))
            if state is None:
                return
            if state not in DeferredRequest.OPEN:
                row = await self._find(request, request_id)
                reply = await deferred_reply(self.services, row, client_of(request))
                name = "result" if reply.status < 400 else "error"
                yield sse_text(as_json(reply.body).decode(), name)
                return
            if look % _LOOKS_BETWEEN_SIGNS == 0:
                yield ALIVE
            await asyncio.sleep(_LOOK_SECONDS)
