"""Counts the input tokens of a chat, for the APIs that have an endpoint for that."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Self

from optimizer.api.compat.chat_endpoint import WireEndpoint
from optimizer.api.compat.stored_files import check_files
from optimizer.api.http.endpoint import ApiRequest
from optimizer.domain.request_bounds import RESIDENCY_HEADER, residency_of
from optimizer.gateway.chat_requests import ChatQuery, ChatRequestBuilder
from optimizer.gateway.provider_objects.objects import ProviderObjects
from optimizer.policies.rules import ActiveRules
from optimizer.wiring.services import Services
from routing.rules import NO_EFFECT, Effect


class TokenCountEndpoint(WireEndpoint):
    """Reads a request as one for an answer, and counts its tokens. This is free."""

    def __init__(
        self, chat_requests: ChatRequestBuilder, objects: ProviderObjects, rules: ActiveRules
    ) -> None:
        self._rules = rules
        self._chat_requests = chat_requests
        self._objects = objects

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(services.chat_requests, services.provider_objects, services.rules)

    def query(self, api_request: ApiRequest) -> ChatQuery:
        """Return the chat that the request asks for."""
        raise NotImplementedError

    async def count(self, api_request: ApiRequest) -> int:
        """Return the number of tokens; a large request is read beside the event loop."""
        if api_request.large:
            query = await asyncio.to_thread(self._large_query, api_request)
        else:
            query = self.query(api_request)
        await check_files(self._objects, query.chat, api_request.client)
        residency = (
            api_request.client.residency
            | query.options.residency
            | residency_of(api_request.header(RESIDENCY_HEADER))
        )
        effect = NO_EFFECT
        if self._rules.bind_all:
            effect = await asyncio.to_thread(self._demands, query, api_request)
        effect = replace(effect, residency=effect.residency | residency)
        return await self._chat_requests.count_tokens(query, effect)

    def _demands(self, query: ChatQuery, api_request: ApiRequest) -> Effect:
        request = self._chat_requests.build(
            query,
            endpoint=self.name,
            request_id=api_request.request_id,
            client=api_request.client,
            header=api_request.header,
        )
        return self._rules.demands(request)

    def _large_query(self, api_request: ApiRequest) -> ChatQuery:
        query = self.query(api_request)
        return replace(query, chat=query.chat.as_large())
