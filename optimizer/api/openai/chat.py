"""Chat completions: read, answered, told."""

from __future__ import annotations

import uuid
from typing import Any

from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat, WireEndpoint
from optimizer.api.http.endpoint import ApiRequest
from optimizer.api.http.failures import Failure
from optimizer.api.openai.chat_answer import chat_completion
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.chat_stream import ChatStreamEncoder
from optimizer.api.openai.errors import error_body
from optimizer.gateway.chat_requests import ChatQuery


class OpenAIEndpoint(WireEndpoint):
    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        return error_body(failure)


class ChatCompletions(OpenAIEndpoint, ChatEndpoint):
    name = "chat/completions"

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        query, with_usage = read_chat_query(api_request.data, api_request.header("cache-control"))
        return query, ResponseFormat(
            chat_completion,
            lambda stream, _: ChatStreamEncoder(
                api_request.request_id, stream.decision.model, with_usage=with_usage
            ),
        )


CHAT = ChatCompletions()
