"""Client of Google Gemini's generateContent API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from providers import features
from providers.completion import Completion, CompletionRequest
from providers.errors import AuthenticationFailed, ProviderError
from providers.gemini.answer import GeminiStream, read_response
from providers.gemini.request import gemini_payload
from providers.http.wire import LONGEST_RETRY_AFTER, WireClient

_RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,9}(?:\.\d{1,9})?)s"')


class GeminiProvider(WireClient):
    """Google's API: ``POST {base_url}/v1beta/models/{model}:generateContent``."""

    wire = "gemini"
    features = features.GEMINI

    def _path(self, request: CompletionRequest, *, stream: bool) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{quote(request.model, safe='')}:{method}"

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        # The key goes in a header, because access logs keep the query string.
        return {"x-goog-api-key": self._api_key}

    def _payload(self, request: CompletionRequest) -> dict[str, Any]:
        return gemini_payload(request.chat)

    def _parse(self, request: CompletionRequest, body: dict[str, Any]) -> Completion:
        return read_response(self.name, request, body)

    def _reader(self, request: CompletionRequest) -> GeminiStream:
        return GeminiStream(self.name, request.model)

    def _error(self, response: httpx.Response, raw: bytes) -> ProviderError:
        # Google answers a wrong key with 400 INVALID_ARGUMENT.
        if response.status_code == 400 and b"API_KEY_INVALID" in raw:
            return AuthenticationFailed(self.name, "refused the API key (HTTP 400)", status=400)
        error = super()._error(response, raw)
        if error.retry_after is None and error.status in (429, 503):
            error.retry_after = _retry_delay(raw)
        return error


def _retry_delay(raw: bytes) -> float | None:
    """Return the seconds that Google asks to wait: a ``google.rpc.RetryInfo``, not a header.

    Format: https://cloud.google.com/apis/design/errors#error_details
    """
    delay = _RETRY_DELAY.search(raw)
    return min(float(delay[1]), LONGEST_RETRY_AFTER) if delay else None
