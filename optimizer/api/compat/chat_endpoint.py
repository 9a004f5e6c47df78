"""What the chat endpoints of other APIs share: read a chat, answer it, report its cost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Self

from analytics.models import DeferredRequest
from optimizer.api.compat.acceptance import accepted_reply, sent_of
from optimizer.api.compat.relay import ALIVE, RelayEncoder, RelayRules
from optimizer.api.compat.response_headers import (
    dropped_header,
    headers_of_result,
    headers_of_stream,
    relayed_headers,
)
from optimizer.api.compat.stored_files import check_files
from optimizer.api.compat.stream_encoder import StreamEncoder
from optimizer.api.http.delivery import read_delivery
from optimizer.api.http.endpoint import ApiRequest, JsonReply, Reply, StreamReply
from optimizer.api.http.errors import failure_of
from optimizer.api.http.failure import Failure, retry_headers
from optimizer.api.http.headers import warning_header
from optimizer.budgets.brakes import SessionBrakes
from optimizer.domain.client import ANONYMOUS
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import CompletionResult
from optimizer.gateway.chat_requests import ChatQuery, ChatRequestBuilder
from optimizer.gateway.deferred.acceptance import Deferral
from optimizer.gateway.provider_objects.objects import ProviderObjects
from optimizer.gateway.service import RoutingService
from optimizer.gateway.streaming.client_stream import ClientStream
from optimizer.wiring.services import Services
from providers.values import frozen

Keep = Callable[[CompletionResult, Mapping[str, Any] | None, bool], Awaitable[None]]
"""Keeps a recorded answer: the result, its body if it is whole, and whether it was relayed."""


async def answer(
    routing: RoutingService,
    request: GatewayRequest,
    response_format: ResponseFormat,
    headers: Mapping[str, str],
) -> Reply:
    """Return the reply to ``request``. Raises what :meth:`RoutingService.complete` does."""
    if request.streamed:
        stream = await routing.stream(request)
        try:
            return _stream_reply(routing, request, stream, response_format, headers)
        except BaseException:
            stream.leave()
            raise
    result = await routing.complete(request)
    headers = {**headers_of_result(request, result), **headers}
    relayed = result.completion.relayed
    if relayed is None or result.cache_hit or request.chat.chosen:
        completion = result.completion
        headers.update(dropped_header(routing, request, completion.provider, completion.model))
    if relayed is None or result.cache_hit:
        whole = response_format.whole(result)
        if response_format.keep is not None:
            await response_format.keep(result, whole, False)
        return JsonReply(whole, headers=headers)
    if response_format.keep is not None:
        await response_format.keep(result, relayed.body, True)
    headers.update(relayed_headers(relayed.headers, request))
    body = response_format.rules.whole(relayed.body, result)
    if body is relayed.body and relayed.raw:
        return JsonReply(relayed.raw, headers=headers)
    return JsonReply(body, headers=headers)


def _stream_reply(
    routing: RoutingService,
    request: GatewayRequest,
    stream: ClientStream,
    response_format: ResponseFormat,
    headers: Mapping[str, str],
) -> StreamReply:
    encoder = RelayEncoder(
        response_format.rules, response_format.encoder(stream, request), response_format.alive
    )
    headers = {
        **headers_of_stream(request, stream), **headers, **relayed_headers(stream.headers, request)
    }  # fmt: skip
    if stream.decision is not None:
        headers.update(dropped_header(routing, request, *stream.decision.ref))
    source = _encode_stream(routing, stream, encoder, request, response_format.keep)
    return StreamReply(source, stream.leave, headers)


async def _encode_stream(
    routing: RoutingService,
    stream: ClientStream,
    encoder: RelayEncoder,
    request: GatewayRequest,
    keep: Keep | None,
) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(stream.events) as batches:
            async for events in batches:
                # Events that arrive together are sent together.
                if chunk := b"".join(m for event in events for m in encoder.encode(event)):
                    yield chunk
        result = stream.result
        assert result is not None
        if keep is not None:
            await keep(result, None, encoder.relays)
        # Another model than the one that the headers name may have answered.
        if dropped := routing.dropped(request, result.provider, result.model):
            result = replace(result, dropped=dropped)
        yield b"".join(encoder.finish(result))
    except Exception as error:  # noqa: BLE001 - the status is sent already: report it in the stream
        yield b"".join(encoder.error(failure_of(error, request)))
    finally:
        stream.leave()


@frozen
class ResponseFormat:
    """The format of an answer: ``whole`` writes it at once, ``encoder`` as a stream.

    ``rules`` are for an answer that is passed on as the provider gave it, and ``alive`` is what
    a stream sends while it has nothing to say. ``keep`` is called before the answer ends, if it
    is to be kept.
    """

    rules: RelayRules
    whole: Callable[[CompletionResult], dict[str, Any]]
    encoder: Callable[[ClientStream, GatewayRequest], StreamEncoder]
    alive: bytes = ALIVE
    keep: Keep | None = None


class WireEndpoint:
    """Reports errors in the format of one API.

    ``name`` is the endpoint's name in the ledger.
    """

    name = ""

    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        """Return the JSON body that reports ``failure``."""
        raise NotImplementedError

    def headers(self, request_id: uuid.UUID) -> dict[str, str]:
        """Return the headers of every reply."""
        return {}

    def failed(
        self, request_id: uuid.UUID, error: Exception, request: GatewayRequest | None = None
    ) -> JsonReply:
        """Return the reply that reports ``error``; ``request`` is set once it has been read."""
        failure = failure_of(error, request)
        headers = retry_headers(failure.retry_after, failure.code) | self.headers(request_id)
        headers |= relayed_headers(failure.headers, request)
        body = failure.relayed or self.error_body(failure, request_id)
        return JsonReply(body, failure.status, headers, failure)


class ChatEndpoint(WireEndpoint):
    """Answers chats; subclasses implement :meth:`read` for the format of their API."""

    def __init__(
        self,
        chat_requests: ChatRequestBuilder,
        routing: RoutingService,
        objects: ProviderObjects,
        brakes: SessionBrakes,
        deferral: Deferral,
    ) -> None:
        self._chat_requests = chat_requests
        self._routing = routing
        self._objects = objects
        self._brakes = brakes
        self._deferral = deferral

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(
            services.chat_requests, services.routing, services.provider_objects, services.brakes,
            services.deferral,
        )  # fmt: skip

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        """Return the chat that the request asks for, and the format of its answer."""
        raise NotImplementedError

    async def answer(self, api_request: ApiRequest) -> Reply:
        """Return the reply; errors become replies as well."""
        request: GatewayRequest | None = None
        try:
            if api_request.large:
                built, response_format = await asyncio.to_thread(self._build, api_request)
                api_request.kept.append(built.chat)
            else:
                built, response_format = self._build(api_request)
            request = built
            if built.client is not ANONYMOUS:
                await check_files(self._objects, built.chat, built.client)
            headers = self.headers(api_request.request_id)
            if warnings := await self._brakes.check(built):
                headers |= warning_header(warnings)
            if built.accepts_later:
                offered = await self._deferral.offer(built, sent_of(api_request))
                if isinstance(offered, DeferredRequest):
                    return accepted_reply(offered, headers)
                built = request = offered
            return await answer(self._routing, built, response_format, headers)
        except Exception as error:  # noqa: BLE001 - the request helps to name the field at fault
            return self.failed(api_request.request_id, error, request)

    def gateway_request(self, api_request: ApiRequest) -> GatewayRequest:
        """Return the gateway's request, for one that is answered later. Raises what reading does.

        What it refers to is not checked here.
        """
        return self._build(api_request)[0]

    async def check(self, request: GatewayRequest) -> None:
        """Raise if the client may not send ``request``: for others' files, or a stopped session."""
        if request.client is not ANONYMOUS:
            await check_files(self._objects, request.chat, request.client)
        await self._brakes.check(request)

    def _build(self, api_request: ApiRequest) -> tuple[GatewayRequest, ResponseFormat]:
        query, response_format = self.read(api_request)
        own = query.options.delivery
        delivery = read_delivery(own, api_request.header)
        if delivery is not own:
            query = replace(query, options=replace(query.options, delivery=delivery))
        request = self._chat_requests.build(
            query,
            endpoint=self.name,
            request_id=api_request.request_id,
            client=api_request.client,
            header=api_request.header,
            continued=api_request.continued,
            strict=api_request.header("x-optimizer-strict").lower() == "true",
            large=api_request.large,
        )
        return request, response_format
