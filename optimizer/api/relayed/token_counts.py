"""POST /v1/responses/input_tokens and POST /v1/responses/compact.

OpenAI's own models answer both. Tokens are estimated for others; compaction is theirs alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from django.http import HttpResponseBase
from rest_framework.request import Request

from optimizer.api.compat.response_headers import cost_headers, relayed_headers
from optimizer.api.compat.stored_files import check_files
from optimizer.api.http.body_reader import InvalidField
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import ApiRequest, JsonReply, Reply
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.responses.endpoint import ResponsesEndpoint
from optimizer.api.openai.responses.request import read_response_query
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.provider_objects.compaction import OtherWire, OwnCalls, PassedAnswer
from optimizer.wiring.services import Services
from providers.errors import ProviderError
from routing.models import NoEligibleModel

logger = logging.getLogger(__name__)


class _OwnCallEndpoint(ResponsesEndpoint):
    """What both share: the request is read as one for a response."""

    own_calls: OwnCalls

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        endpoint = super().of(services)
        endpoint.own_calls = services.own_calls
        return endpoint

    async def answer(self, api_request: ApiRequest) -> Reply:
        """Return the reply; errors become replies as well."""
        try:
            await self.check_owner(api_request)
            data = await self._stored.resolved(api_request.data, api_request.client)
            return await self.reply(replace(api_request, data=data))
        except Exception as error:  # noqa: BLE001 - reported in the API's format
            return self.failed(api_request.request_id, error)

    async def reply(self, api_request: ApiRequest) -> Reply:
        """Return the reply to a request whose references are resolved."""
        raise NotImplementedError

    async def request_of(self, api_request: ApiRequest) -> GatewayRequest:
        """Return the gateway's request; a large one is read beside the event loop."""
        if not api_request.large:
            return self._read(api_request)
        request = await asyncio.to_thread(self._read, api_request)
        api_request.kept.append(request.chat)
        return request

    def _read(self, api_request: ApiRequest) -> GatewayRequest:
        """Return the gateway's request; one without a model is for any."""
        data = api_request.data
        if isinstance(data, Mapping) and not data.get("model"):
            data = {**data, "model": "auto"}
        return self._chat_requests.build(
            read_response_query(data, ""),
            endpoint=self.name,
            request_id=api_request.request_id,
            client=api_request.client,
            header=api_request.header,
            large=api_request.large,
        )


class InputTokensEndpoint(_OwnCallEndpoint):
    """Answers ``POST /v1/responses/input_tokens``, which is free and not recorded."""

    async def reply(self, api_request: ApiRequest) -> Reply:
        """Return OpenAI's own count, or an estimate."""
        request = await self.request_of(api_request)
        await check_files(self._objects, request.chat, request.client)
        try:
            effect = await self.own_calls.demands(request)
            model = self.own_calls.own_model(request, effect)
            if self.own_calls.guarded:
                raise OtherWire(request.requested_model)  # nothing is sent past the guard rails
            answer = await self.own_calls.pass_on(
                "/responses/input_tokens", api_request.data, model,
                large=api_request.large, residency=effect.residency,
            )  # fmt: skip
            return _reply(answer)
        except (OtherWire, NoEligibleModel):
            pass
        except ProviderError as error:
            logger.warning("Tokens are estimated, as counting failed: %s", error)
        tokens = request.chat.estimated_tokens()
        return JsonReply({"object": "response.input_tokens", "input_tokens": tokens})


class CompactEndpoint(_OwnCallEndpoint):
    """Answers ``POST /v1/responses/compact``."""

    async def reply(self, api_request: ApiRequest) -> Reply:
        """Return OpenAI's answer; the call is priced and recorded."""
        request = await self.request_of(api_request)
        await check_files(self._objects, request.chat, request.client)
        try:
            answer = await self.own_calls.compact(request, api_request.data)
        except OtherWire:
            raise InvalidField(
                "model",
                f"'{request.requested_model}' names no model of OpenAI's own API, which alone "
                "compacts conversations: the result is encrypted for its models. Send the items "
                "themselves to other models.",
                "unsupported_feature",
            ) from None
        return _reply(answer)


def _reply(answer: PassedAnswer) -> JsonReply:
    headers: dict[str, Any] = {"X-Optimizer-Provider": answer.provider}
    if answer.result is not None:
        headers = cost_headers(answer.result)
    return JsonReply(answer.raw, answer.status, headers | relayed_headers(answer.headers, None))


class InputTokensView(EndpointViewSet):
    """Serves ``POST /v1/responses/input_tokens``."""

    endpoint = InputTokensEndpoint

    @extend_schema(exclude=True)
    async def create(self, request: Request) -> HttpResponseBase:
        """Count the input tokens of a response."""
        return await self.serve(request)


class CompactView(EndpointViewSet):
    """Serves ``POST /v1/responses/compact``."""

    endpoint = CompactEndpoint

    @extend_schema(exclude=True)
    async def create(self, request: Request) -> HttpResponseBase:
        """Compact a conversation."""
        return await self.serve(request)
