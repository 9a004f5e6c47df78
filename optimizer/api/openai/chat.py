"""POST /v1/chat/completions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request

from optimizer.api.compat import openapi as documents
from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat, WireEndpoint
from optimizer.api.compat.relay import RelayRules
from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import ApiRequest
from optimizer.api.http.failure import Failure
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat_answer import chat_completion, finish_body, usage_body
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.chat_stream import ChatStreamEncoder
from optimizer.api.openai.errors import error_body
from optimizer.domain.result import CompletionResult
from optimizer.gateway.chat_requests import ChatQuery
from optimizer.gateway.streaming.client_stream import ClientStream
from providers.events import Relayed
from providers.values import frozen


class OpenAIEndpoint(WireEndpoint):
    """What the endpoints of the OpenAI API share: the error format."""

    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        """Return the JSON body that reports ``failure``."""
        return error_body(failure)


@frozen
class ChatRelayRules(RelayRules):
    """The rules of chat completions; ``with_usage`` is whether the stream ends with its usage."""

    with_usage: bool

    last: ClassVar[Relayed | None] = Relayed("", "[DONE]", None)

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Omit the chunk with the usage alone if the client has not asked for it."""
        if self.with_usage or data.get("choices") or "usage" not in data:
            return data
        return None

    def whole(self, body: Mapping[str, Any], result: CompletionResult) -> Mapping[str, Any]:
        """Add the usage if the provider reports none."""
        if body.get("usage"):
            return body
        return {**body, "usage": usage_body(result.completion.usage)}

    def missing_ending(
        self, endings: Sequence[Relayed], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Return the chunk that says why the answer ended, where the provider did not."""
        choices = result.completion.choices
        if len(choices) != 1 or any(map(_has_finish_reason, endings)):
            return None
        reason = finish_body(choices[0].finish_reason)
        return {
            "id": result.completion.response_id or "chatcmpl",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": result.completion.model,
            "choices": [{"index": 0, "delta": {}, "finish_reason": reason}],
        }

    def summarized(
        self, data: Mapping[str, Any], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Add the summary to the last chunk, and the usage if the provider reports none."""
        summarized = {**data, "optimizer": stream_summary(result)}
        if self.with_usage and not data.get("usage"):
            summarized["usage"] = usage_body(result.completion.usage)
        return summarized


class ChatCompletionsEndpoint(OpenAIEndpoint, ChatEndpoint):
    """Answers ``POST /v1/chat/completions``."""

    name = "chat/completions"

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        """Return the chat that the request asks for, and the format of its answer."""
        query, with_usage = read_chat_query(api_request.data, api_request.header("cache-control"))
        legacy = bool(api_request.data.get("functions")) and not api_request.data.get("tools")
        return query, ResponseFormat(
            ChatRelayRules(with_usage=with_usage),
            partial(chat_completion, legacy=legacy) if legacy else chat_completion,
            lambda stream, _: ChatStreamEncoder(
                api_request.request_id,
                stream.model(query.model),
                with_usage=with_usage,
                author=lambda: _author_of(stream),
                legacy=legacy,
            ),
        )


def _has_finish_reason(event: Relayed) -> bool:
    choices = event.data.get("choices") if event.data is not None else None
    return any(
        isinstance(choice, Mapping) and bool(choice.get("finish_reason"))
        for choice in (choices if isinstance(choices, list) else ())
    )


def _author_of(stream: ClientStream) -> tuple[str, str]:
    """Return the (provider, model) that answers; empty texts if it is not known yet."""
    decision = stream.decision
    return ("", "") if decision is None else (decision.provider, decision.model)


class ChatCompletionsViewSet(EndpointViewSet):
    """Serves ``POST /v1/chat/completions``."""

    endpoint = ChatCompletionsEndpoint

    @extend_schema(
        operation_id="chat_completions",
        summary="Chat completions (OpenAI)",
        tags=["OpenAI"],
        request=documents.request_body({"messages": "messages"}),
        responses=documents.OPENAI_STREAMS,
        examples=[
            OpenApiExample(
                "A question",
                value={
                    "model": "auto",
                    "messages": [{"role": "user", "content": "What is the capital of France?"}],
                },
                request_only=True,
            ),
            OpenApiExample(
                "Streamed, with a target and tags",
                value={
                    "model": "auto",
                    "messages": [{"role": "user", "content": "Compare B-trees and LSM trees."}],
                    "stream": True,
                    "stream_options": {"include_usage": True},
                    "optimizer": {"quality_target": 0.8, "max_cost": 0.01, "tags": ["docs"]},
                },
                request_only=True,
            ),
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Answer a chat as OpenAI's API does, with the model named or a chosen one."""
        return await self.serve(request)
