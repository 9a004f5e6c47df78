"""What the chat endpoints of other APIs share: read a chat, answer it, report its cost."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from optimizer.api.compat.stream_encoder import StreamEncoder
from optimizer.api.http.endpoint import ApiRequest, JsonReply, Reply, StreamReply
from optimizer.api.http.failures import Failure, failure_of, retry_headers
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import CompletionResult
from optimizer.gateway.chat_requests import ChatQuery, ChatRequestBuilder
from optimizer.gateway.service import RoutingService
from optimizer.gateway.streaming.client_stream import ClientStream
from optimizer.wiring.services import Services
from routing.models import RoutingDecision


async def answer(
    routing: RoutingService,
    request: GatewayRequest,
    whole: Callable[[CompletionResult], dict[str, Any]],
    encoder: Callable[[ClientStream, GatewayRequest], StreamEncoder],
    headers: Mapping[str, str],
) -> Reply:
    """The reply to ``request``. Raises what :meth:`RoutingService.complete` does."""
    if request.streamed:
        stream = await routing.stream(request)
        told = _told(stream, encoder(stream, request))
        return StreamReply(told, stream.leave, {**headers_of_stream(request, stream), **headers})
    result = await routing.complete(request)
    return JsonReply(whole(result), headers={**headers_of_result(request, result), **headers})


async def _told(stream: ClientStream, encoder: StreamEncoder) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(stream.events) as batches:
            async for events in batches:
                # What came together leaves together.
                if said := b"".join(m for event in events for m in encoder.encode(event)):
                    yield said
        assert stream.result is not None
        yield b"".join(encoder.finish(stream.result))
    except Exception as error:  # noqa: BLE001 - the status is long sent: say it in the stream
        yield b"".join(encoder.error(failure_of(error)))
    finally:
        stream.leave()


def headers_of_stream(request: GatewayRequest, stream: ClientStream) -> dict[str, str]:
    """Cost and savings are known from the start only where the answer is; else its end tells."""
    if stream.result is not None:
        return headers_of_result(request, stream.result)
    # Another's answer that is being listened to is as good as a cached one.
    heard = stream.decision.strategy_used == "cached"
    return {**_decided(stream.decision), "X-Optimizer-Cache": _cache_status(request, hit=heard)}


def headers_of_result(request: GatewayRequest, result: CompletionResult) -> dict[str, str]:
    headers = {
        **cost_headers(result),
        "X-Optimizer-Cache": _cache_status(request, hit=result.cache_hit),
    }
    if result.likeness is not None:
        headers["X-Optimizer-Cache"] = f"semantic; likeness={result.likeness:.2f}"
    return headers


def cost_headers(result: CompletionResult) -> dict[str, str]:
    """Who answered, and what it cost and saved, in USD."""
    return {
        **_decided(result.decision),
        "X-Optimizer-Cost": _usd(result.cost),
        "X-Optimizer-Savings": _usd(result.savings),
    }


def _decided(decision: RoutingDecision) -> dict[str, str]:
    return {
        "X-Optimizer-Provider": decision.provider,
        "X-Optimizer-Model": decision.model,
        "X-Optimizer-Strategy": decision.strategy_used,
        "X-Optimizer-Confidence": decision.confidence,
    }


def _cache_status(request: GatewayRequest, *, hit: bool) -> str:
    if hit:
        return "hit"
    return f"bypass; {request.cache.bypass_reason}" if request.cache.bypassed else "miss"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"{amount.normalize():f}"


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
    """An endpoint that answers chats; ``read`` reads one API's spelling of a chat."""

    def __init__(self, chat_requests: ChatRequestBuilder, routing: RoutingService) -> None:
        self._chat_requests = chat_requests
        self._routing = routing

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(services.chat_requests, services.routing)

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        raise NotImplementedError

    async def answer(self, api_request: ApiRequest) -> Reply:
        request: GatewayRequest | None = None
        try:
            query, response_format = self.read(api_request)
            request = self._chat_requests.build(
                query,
                endpoint=self.name,
                request_id=api_request.request_id,
                client=api_request.client,
            )
            return await answer(
                self._routing, request, response_format.whole, response_format.encoder,
                self.headers(api_request.request_id),
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - the request that was read helps to tell
            return self.failed(api_request.request_id, error, request)
