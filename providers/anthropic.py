"""Anthropic Messages.

Wire: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.base import Completion, CompletionRequest, FinishReason, Usage, estimate_tokens
from providers.errors import ContentBlocked, EmptyCompletion
from providers.wire import WireClient, token_count

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicProvider(WireClient):
    """``POST {base_url}/v1/messages``."""

    def _path(self, request: CompletionRequest) -> str:
        return "/v1/messages"

    def _headers(self) -> Mapping[str, str]:
        return {"x-api-key": self._api_key, "anthropic-version": "2023-06-01"}

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        return {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "messages": [{"role": "user", "content": request.prompt}],
        }

    def _parse(self, request: CompletionRequest, body: dict[str, Any]) -> Completion:
        blocks = body["content"]
        text = "".join(block["text"] for block in blocks if block["type"] == "text")
        usage = self._usage(request, text, body.get("usage"))
        finish = _FINISH.get(body.get("stop_reason") or "", "other")
        if not text.strip():
            if finish == "content_filter":
                raise ContentBlocked(self.name, "refused the prompt", usage=usage)
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
        cache_read = token_count(reported.get("cache_read_input_tokens"))
        cache_write = token_count(reported.get("cache_creation_input_tokens"))
        details = reported.get("output_tokens_details") or {}
        return Usage(
            # This wire's input_tokens leaves out what went through the prompt cache.
            input_tokens=token_count(reported["input_tokens"]) + cache_read + cache_write,
            output_tokens=token_count(reported["output_tokens"]),
            cache_read_tokens=cache_read,
            cache_write_tokens=cache_write,
            reasoning_tokens=token_count(details.get("thinking_tokens")),
        )
