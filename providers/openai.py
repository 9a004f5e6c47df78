"""OpenAI chat completions: OpenAI itself and every server that speaks its wire.

Wire: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from providers.base import Completion, CompletionRequest, FinishReason, Usage, estimate_tokens
from providers.errors import (
    ContentBlocked,
    EmptyCompletion,
    InsufficientCredit,
    MalformedResponse,
    ProviderError,
    error_for_status,
)
from providers.wire import WireClient, token_count

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class OpenAIProvider(WireClient):
    """``POST {base_url}/chat/completions``.

    ``max_tokens_field`` is what the server calls the completion's bound:
    OpenAI's own models take ``max_completion_tokens``, most others only know
    ``max_tokens``.
    """

    max_tokens_field = "max_tokens"

    def _path(self, request: CompletionRequest) -> str:
        return "/chat/completions"

    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._api_key}"} if self._api_key else {}

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        return {
            "model": request.model,
            "messages": [{"role": "user", "content": request.prompt}],
            self.max_tokens_field: request.max_tokens,
        }

    def _parse(self, request: CompletionRequest, body: dict[str, Any]) -> Completion:
        if "choices" not in body and isinstance(body.get("error"), dict):
            # Routers report an upstream failure inside a 200.
            raise self._upstream_error(body["error"])
        choices = body["choices"]
        if not choices:
            raise EmptyCompletion(self.name, "answered without a choice")
        choice = choices[0]
        if isinstance(choice.get("error"), dict):
            raise self._upstream_error(choice["error"])
        message = choice["message"]
        text = message.get("content") or ""
        if not isinstance(text, str):
            raise MalformedResponse(self.name, "answered with content that is not text")
        usage = self._usage(request, text, body.get("usage"))
        finish = _FINISH.get(choice.get("finish_reason") or "", "other")
        if not text.strip():
            if finish == "content_filter" or message.get("refusal"):
                raise ContentBlocked(self.name, "blocked the content", usage=usage)
            raise EmptyCompletion(self.name, "answered with no text", usage=usage)
        return Completion(
            provider=self.name,
            model=request.model,
            text=text,
            usage=usage,
            finish_reason=finish,
            response_id=body.get("id"),
        )

    @staticmethod
    def _usage(request: CompletionRequest, text: str, reported: dict[str, Any] | None) -> Usage:
        if not reported:
            return Usage(estimate_tokens(request.prompt), estimate_tokens(text), estimated=True)
        prompt_details = reported.get("prompt_tokens_details") or {}
        output_details = reported.get("completion_tokens_details") or {}
        return Usage(
            input_tokens=token_count(reported["prompt_tokens"]),
            output_tokens=token_count(reported.get("completion_tokens")),
            cache_read_tokens=token_count(prompt_details.get("cached_tokens")),
            cache_write_tokens=token_count(prompt_details.get("cache_write_tokens")),
            reasoning_tokens=token_count(output_details.get("reasoning_tokens")),
        )

    def _upstream_error(self, error: dict[str, Any]) -> ProviderError:
        code = error.get("code")
        if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599:
            return error_for_status(self.name, code)
        return MalformedResponse(self.name, "reported an error inside a success")

    def _error(self, response: httpx.Response, raw: bytes) -> ProviderError:
        # "No money left" comes as a 429 that no waiting will cure.
        if response.status_code == 429 and b'"insufficient_quota"' in raw:
            return InsufficientCredit(
                self.name, "reports that the account has no credit left (HTTP 429)", status=429
            )
        if response.status_code == 400 and b'"content_policy_violation"' in raw:
            return ContentBlocked(self.name, "blocked the prompt (HTTP 400)", status=400)
        return super()._error(response, raw)


class OpenAIOwnProvider(OpenAIProvider):
    """OpenAI's own API, whose reasoning models reject ``max_tokens``."""

    max_tokens_field = "max_completion_tokens"
