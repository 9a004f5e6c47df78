"""Chat completions: read, answered, told."""

from __future__ import annotations

import uuid
from typing import Any

from optimizer.api.compat.chat_endpoint import ChatEndpoint, Telling, WireEndpoint
from optimizer.api.http.endpoint import Asked
from optimizer.api.http.failures import Failure
from optimizer.api.openai.chat_answer import chat_completion
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.chat_stream import ChatTeller
from optimizer.api.openai.errors import error_body
from optimizer.gateway.chat_requests import ChatQuery


class OpenAIEndpoint(WireEndpoint):
    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        return error_body(failure)


class ChatCompletions(OpenAIEndpoint, ChatEndpoint):
    name = "chat/completions"

    def read(self, asked: Asked) -> tuple[ChatQuery, Telling]:
        query, with_usage = read_chat_query(asked.data, asked.header("cache-control"))
        return query, Telling(
            chat_completion,
            lambda stream, _: ChatTeller(
                asked.request_id, stream.decision.model, with_usage=with_usage
            ),
        )


CHAT = ChatCompletions()
