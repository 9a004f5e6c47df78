"""Messages: read, answered, told; and their tokens counted."""

from __future__ import annotations

import uuid
from typing import Any

from optimizer.api.anthropic.answer import message
from optimizer.api.anthropic.errors import error_body
from optimizer.api.anthropic.request import read_message_query
from optimizer.api.anthropic.stream import MessageTeller
from optimizer.api.compat.chat_endpoint import ChatEndpoint, Telling, WireEndpoint
from optimizer.api.http.endpoint import Answered, Asked
from optimizer.api.http.failures import Failure
from optimizer.gateway.chat_requests import ChatQuery
from optimizer.wiring.build import get_services


class AnthropicEndpoint(WireEndpoint):
    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        return error_body(failure, request_id)

    def headers(self, request_id: uuid.UUID) -> dict[str, str]:
        # Where this API's clients look for it.
        return {"request-id": str(request_id)}

    @staticmethod
    def query(asked: Asked, *, counting: bool = False) -> ChatQuery:
        return read_message_query(
            asked.data,
            asked.header("cache-control"),
            asked.header("anthropic-beta"),
            counting=counting,
        )


class Messages(AnthropicEndpoint, ChatEndpoint):
    name = "messages"

    def read(self, asked: Asked) -> tuple[ChatQuery, Telling]:
        return self.query(asked), Telling(
            message,
            lambda stream, ask: MessageTeller(
                asked.request_id,
                stream.decision.model,
                input_tokens=ask.chat.estimated_tokens(),
            ),
        )


class CountTokens(AnthropicEndpoint):
    name = "messages/count_tokens"

    async def answer(self, asked: Asked) -> Answered:
        query = self.query(asked, counting=True)
        tokens = await get_services().gateway.count_tokens(query)
        return Answered({"input_tokens": tokens}, headers=self.headers(asked.request_id))


MESSAGES = Messages()
COUNT_TOKENS = CountTokens()
