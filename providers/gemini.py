"""Google Gemini generateContent.

Wire: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from providers.base import Completion, CompletionRequest, FinishReason, Usage, estimate_tokens
from providers.errors import (
    AuthenticationFailed,
    ContentBlocked,
    EmptyCompletion,
    ProviderError,
)
from providers.wire import WireClient, token_count

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
}


class GeminiProvider(WireClient):
    """``POST {base_url}/v1beta/models/{model}:generateContent``."""

    def _path(self, request: CompletionRequest) -> str:
        return f"/v1beta/models/{quote(request.model, safe='')}:generateContent"

    def _headers(self) -> Mapping[str, str]:
        # In a header, never in the query string, where access logs would keep it.
        return {"x-goog-api-key": self._api_key}

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        return {
            "contents": [{"role": "user", "parts": [{"text": request.prompt}]}],
            "generationConfig": {"maxOutputTokens": request.max_tokens},
        }

    def _parse(self, request: CompletionRequest, body: dict[str, Any]) -> Completion:
        feedback = body.get("promptFeedback") or {}
        candidates = body.get("candidates") or []
        if not candidates:
            usage = self._usage(request, "", body.get("usageMetadata"))
            if feedback.get("blockReason"):
                raise ContentBlocked(self.name, "blocked the prompt", usage=usage)
            raise EmptyCompletion(self.name, "answered without a candidate", usage=usage)
        candidate = candidates[0]
        parts = (candidate.get("content") or {}).get("parts") or []
        # Parts marked "thought" are the model's reasoning, not its answer.
        text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
        usage = self._usage(request, text, body.get("usageMetadata"))
        finish = _FINISH.get(candidate.get("finishReason") or "", "other")
        if not text.strip():
            if finish == "content_filter":
                raise ContentBlocked(self.name, "blocked the answer", usage=usage)
            raise EmptyCompletion(self.name, "answered with no text", usage=usage)
        return Completion(
            provider=self.name,
            model=request.model,
            text=text,
            usage=usage,
            finish_reason=finish,
            response_id=body.get("responseId"),
        )

    @staticmethod
    def _usage(request: CompletionRequest, text: str, reported: dict[str, Any] | None) -> Usage:
        if not reported:
            return Usage(estimate_tokens(request.prompt), estimate_tokens(text), estimated=True)
        reasoning = token_count(reported.get("thoughtsTokenCount"))
        return Usage(
            input_tokens=token_count(reported["promptTokenCount"])
            + token_count(reported.get("toolUsePromptTokenCount")),
            # Thinking is billed as output but reported beside it.
            output_tokens=token_count(reported.get("candidatesTokenCount")) + reasoning,
            cache_read_tokens=token_count(reported.get("cachedContentTokenCount")),
            reasoning_tokens=reasoning,
        )

    def _error(self, response: httpx.Response, raw: bytes) -> ProviderError:
        # Google answers a wrong key with 400 INVALID_ARGUMENT.
        if response.status_code == 400 and b"API_KEY_INVALID" in raw:
            return AuthenticationFailed(self.name, "refused the API key (HTTP 400)", status=400)
        return super()._error(response, raw)
