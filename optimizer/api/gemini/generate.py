"""POST /v1beta/models/{model}:generateContent, :streamGenerateContent and :countTokens."""

from __future__ import annotations

import uuid
from typing import Any

from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat, WireEndpoint
from optimizer.api.compat.relay import RelayRules
from optimizer.api.compat.token_counts import TokenCountEndpoint
from optimizer.api.gemini.answer import response
from optimizer.api.gemini.errors import error_body
from optimizer.api.gemini.json_array import as_array
from optimizer.api.gemini.paths import model_of, wants_events
from optimizer.api.gemini.request_reader.fields import ProtoReader
from optimizer.api.gemini.request_reader.query import read_generate_query
from optimizer.api.gemini.stream import GenerateStreamEncoder
from optimizer.api.http.endpoint import ApiRequest, JsonReply, Reply, StreamReply
from optimizer.api.http.failure import Failure
from optimizer.gateway.chat_requests import ChatQuery
from optimizer.gateway.streaming.client_stream import ClientStream

# Google's client reads a comment as a broken message; blank lines are nothing to any client.
_ALIVE = b"\n\n"


class GeminiEndpoint(WireEndpoint):
    """What the endpoints of Gemini's API share: the format of errors."""

    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        """Return the JSON body that reports ``failure``."""
        return error_body(failure)


class GenerateEndpoint(GeminiEndpoint, ChatEndpoint):
    """Answers ``:generateContent``."""

    name = "generateContent"
    streamed = False

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        """Return the chat that the request asks for, and the format of its answer."""
        query = read_generate_query(
            api_request.data,
            model_of(api_request.path),
            api_request.header("cache-control"),
            streamed=self.streamed,
        )
        reasoning = query.chat.reasoning
        shown = reasoning is None or reasoning.shown != "omitted"
        return query, ResponseFormat(
            RelayRules(),
            lambda result: response(result, shown=shown),
            lambda stream, request: GenerateStreamEncoder(
                api_request.request_id,
                lambda: _author(stream, query.model),
                shown=shown,
            ),
            alive=_ALIVE,
        )


class StreamGenerateEndpoint(GenerateEndpoint):
    """Answers ``:streamGenerateContent``: in server-sent events or in one JSON array."""

    streamed = True

    async def answer(self, api_request: ApiRequest) -> Reply:
        """Return the reply; errors become replies as well."""
        reply = await super().answer(api_request)
        if isinstance(reply, StreamReply) and not wants_events(api_request.query):
            return as_array(reply)
        return reply


class CountContentTokensEndpoint(GeminiEndpoint, TokenCountEndpoint):
    """Answers ``:countTokens``."""

    name = "countTokens"

    def query(self, api_request: ApiRequest) -> ChatQuery:
        """Return the chat that the request asks for."""
        body = api_request.data
        whole = ProtoReader(body).mapping("generateContentRequest")
        return read_generate_query(body if whole is None else whole, model_of(api_request.path), "")

    async def answer(self, api_request: ApiRequest) -> JsonReply:
        """Return the number of input tokens of the contents."""
        return JsonReply({"totalTokens": await self.count(api_request)})


def _author(stream: ClientStream, asked_for: str) -> tuple[str, str]:
    """Return the provider and the model that answer."""
    if stream.result is not None:
        return stream.result.completion.provider, stream.result.completion.model
    if stream.decision is not None:
        return stream.decision.provider, stream.decision.model
    return "", asked_for
