"""Counts the input tokens of a chat, for the APIs that have an endpoint for that."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Self

from optimizer.api.compat.chat_endpoint import WireEndpoint
from optimizer.api.http.endpoint import ApiRequest
from optimizer.gateway.chat_requests import ChatQuery, ChatRequestBuilder
from optimizer.wiring.services import Services


class TokenCountEndpoint(WireEndpoint):
    """Reads a request as one for an answer, and counts its tokens. This is free."""

    def __init__(self, chat_requests: ChatRequestBuilder) -> None:
        self._chat_requests = chat_requests

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(services.chat_requests)

    def query(self, api_request: ApiRequest) -> ChatQuery:
        """Return the chat that the request asks for."""
        raise NotImplementedError

    async def count(self, api_request: ApiRequest) -> int:
        """Return the number of tokens; a large request is read beside the event loop."""
        if api_request.large:
            query = await asyncio.to_thread(self._large_query, api_request)
        else:
            query = self.query(api_request)
        return await self._chat_requests.count_tokens(query)

    def _large_query(self, api_request: ApiRequest) -> ChatQuery:
        query = self.query(api_request)
        return replace(query, chat=query.chat.as_large())
