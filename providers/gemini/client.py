"""Client of Google Gemini's generateContent API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from providers import features
from providers.charges import served_tier
from providers.completion import Completion, CompletionRequest
from providers.effort_levels import NO_EFFORTS, Efforts
from providers.errors import AuthenticationFailed, ProviderError
from providers.gemini.answer import read_response
from providers.gemini.array import joined
from providers.gemini.parts import WIRE
from providers.gemini.relayed import relayed_payload
from providers.gemini.request import gemini_payload
from providers.gemini.shapes import mend
from providers.gemini.stream import GeminiStream
from providers.gemini.thinking import efforts_of_model
from providers.http.header_values import LONGEST_RETRY_AFTER
from providers.http.wire import WireClient

_RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,9}(?:\.\d{1,9})?)s"')


class GeminiProvider(WireClient):
    """Google's API: ``POST {base_url}/v1beta/models/{model}:generateContent``."""

    wire = WIRE
    features = features.GEMINI

    def efforts(self, model: str, lacks: frozenset[str] = frozenset()) -> Efforts:
        """Return the efforts of reasoning that ``model`` takes."""
        return NO_EFFORTS if features.REASONING in lacks else efforts_of_model(model)

    async def count_tokens(self, request: CompletionRequest) -> int:
        """Return the provider's own count of input tokens. Raises :class:`ProviderError`."""
        payload = self._counted(self._payload(request, self.own_wire(request)), request.model)
        path = f"{self._model_path(request.model)}:countTokens"
        body = await self.post(path, payload, self._headers(request), large=request.chat.large)
        with self._reading:
            return int(body["totalTokens"])

    def _counted(self, payload: dict[str, Any], model: str) -> dict[str, Any]:
        """Return the body of a count."""
        if payload.keys() == {"contents"}:
            return payload
        # Only in this form are instructions and tools counted as well.
        return {"generateContentRequest": {**payload, "model": f"models/{model}"}}

    def _model_path(self, model: str) -> str:
        return f"/v1beta/models/{quote(model, safe='')}"

    def _path(self, request: CompletionRequest, wire: str | None, *, stream: bool) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"{self._model_path(request.model)}:{method}"

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        return self.key_headers()

    def key_headers(self) -> Mapping[str, str]:
        """Return the header with the API key, as access logs keep the query string."""
        return {"x-goog-api-key": self._api_key}

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        if wire is not None:
            return relayed_payload(request, self.name)
        return gemini_payload(request.chat, request.model, self.name, request.lacks)

    def _parse(
        self, request: CompletionRequest, wire: str | None, body: dict[str, Any]
    ) -> Completion:
        return read_response(self.name, request, body)

    def _tier_fields(self, tier: str) -> Mapping[str, Any]:
        # https://ai.google.dev/gemini-api/docs/flex-inference
        return {"serviceTier": tier}

    def _tier_in(self, headers: Mapping[str, str]) -> str:
        # https://ai.google.dev/gemini-api/docs/priority-inference
        return served_tier({"serviceTier": headers.get("x-gemini-service-tier")})

    def _repair(self, wire: str | None, body: dict[str, Any]) -> bool:
        return mend(body)

    def _reader(self, request: CompletionRequest, wire: str | None) -> GeminiStream:
        return GeminiStream(self.name, request)

    def _object(self, raw: bytes) -> dict[str, Any]:
        # A stream that is not of server-sent events is one array of its messages.
        if raw.lstrip()[:1] == b"[":
            return joined(self.name, raw)
        return super()._object(raw)

    def _error(self, status: int, headers: httpx.Headers, raw: bytes) -> ProviderError:
        # Google answers a wrong key with 400 INVALID_ARGUMENT.
        if status == 400 and b"API_KEY_INVALID" in raw:
            return AuthenticationFailed(self.name, "refused the API key (HTTP 400)", status=400)
        error = super()._error(status, headers, raw)
        if error.retry_after is None and error.status in (429, 503):
            error.retry_after = _retry_delay(raw)
        return error


def _retry_delay(raw: bytes) -> float | None:
    """Return the seconds that Google asks to wait: a ``google.rpc.RetryInfo``, not a header.

    Format: https://cloud.google.com/apis/design/errors#error_details
    """
    delay = _RETRY_DELAY.search(raw)
    return min(float(delay[1]), LONGEST_RETRY_AFTER) if delay else None
