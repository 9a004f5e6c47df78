"""POST /complete: read, answered, told."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.conf import settings

from optimizer.api.http.endpoint import ApiRequest, JsonReply
from optimizer.api.v1.complete_input import read_complete
from optimizer.api.v1.errors import reply_to
from optimizer.domain.result import CompletionResult
from optimizer.gateway.tokenizers import TokenizerCount, count_with_tokenizer
from optimizer.wiring.build import get_services


class Complete:
    """The endpoint of our own API."""

    async def answer(self, api_request: ApiRequest) -> JsonReply:
        return JsonReply(await self._body(api_request))

    def failed(self, request_id: uuid.UUID, error: Exception) -> JsonReply:
        return reply_to(error, request_id)

    async def _body(self, api_request: ApiRequest) -> dict[str, Any]:
        query = read_complete(api_request.data)
        services, client = get_services(), api_request.client
        result = await services.routing.route_and_complete(
            query.prompt,
            max_tokens=query.max_tokens,
            auto_route=client.auto_route if query.auto_route is None else query.auto_route,
            request_id=api_request.request_id,
            client=client,
        )
        body = completion_body(result)
        if query.tokenizer_id:
            count = await services.in_background(
                count_with_tokenizer,
                query.tokenizer_id,
                query.prompt,
                result.response,
                Path(settings.TOKENIZERS_DIR),
            )
            assert isinstance(count, TokenizerCount)
            body.update(tokenizer_body(count))
        return body


COMPLETE = Complete()


def completion_body(result: CompletionResult) -> dict[str, Any]:
    """The JSON answer of ``POST /complete``."""
    decision = result.decision
    return {
        "response": result.response,
        "provider": result.provider,
        "model": result.model,
        "strategy_used": decision.strategy_used,
        "confidence": decision.confidence,
        "complexity_metadata": {
            "complexity": result.complexity,
            "token_count": result.token_count,
        },
        "routing_metadata": {
            **decision.metadata,
            "reasoning": decision.reasoning,
            "fallback_used": decision.fallback_used,
        },
        "tokens_in": result.tokens_in,
        "tokens_out": result.tokens_out,
        "cost": result.cost,
        "total_cost_today": result.total_cost_today,
        "cache_hit": result.cache_hit,
        "cache_key": result.cache_key,
        "original_cost": result.original_cost,
        "savings": result.savings,
        "request_id": result.request_id,
    }


def tokenizer_body(count: TokenizerCount) -> dict[str, Any]:
    """What a ``tokenizer_id`` adds to the answer."""
    body: dict[str, Any] = {
        "tokenizer_tokens_in": count.tokens_in,
        "tokenizer_tokens_out": count.tokens_out,
        "tokenizer_bytes_per_token": count.bytes_per_token,
        "tokenizer_tokens_per_byte": count.tokens_per_byte,
    }
    if count.note:
        body["tokenizer_note"] = count.note
    return body
