"""What the endpoints of other APIs have in common: a chat is read, asked, told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optimizer.api.compat.replies import answer
from optimizer.api.compat.stream_encoder import StreamEncoder
from optimizer.api.http.endpoint import ApiRequest, JsonReply, Reply
from optimizer.api.http.failures import Failure, failure_of, retry_headers
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import CompletionResult
from optimizer.gateway.chat_requests import ChatQuery
from optimizer.gateway.streaming.client_stream import ClientStream
from optimizer.wiring.build import get_services


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """How an answer is told: ``whole``, or piece by piece by a ``encoder``."""

    whole: Callable[[CompletionResult], dict[str, Any]]
    encoder: Callable[[ClientStream, GatewayRequest], StreamEncoder]


class WireEndpoint:
    """``error_body`` spells a failure; ``name`` is what the ledger calls the endpoint."""

    name = ""

    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        raise NotImplementedError

    def headers(self, request_id: uuid.UUID) -> dict[str, str]:
        """What every reply carries."""
        return {}

    def failed(
        self, request_id: uuid.UUID, error: Exception, request: GatewayRequest | None = None
    ) -> JsonReply:
        """``request`` is the request, where it was read."""
        failure = failure_of(error, request)
        headers = retry_headers(failure.retry_after, failure.code) | self.headers(request_id)
        return JsonReply(self.error_body(failure, request_id), failure.status, headers)


class ChatEndpoint(WireEndpoint):
    """``read`` is one API's way to say a chat."""

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        raise NotImplementedError

    async def answer(self, api_request: ApiRequest) -> Reply:
        request: GatewayRequest | None = None
        try:
            services = get_services()
            query, response_format = self.read(api_request)
            request = services.chat_requests.build(
                query,
                endpoint=self.name,
                request_id=api_request.request_id,
                client=api_request.client,
            )
            return await answer(
                services.routing, request, response_format.whole, response_format.encoder,
                self.headers(api_request.request_id),
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - the request that was read helps to tell
            return self.failed(api_request.request_id, error, request)
