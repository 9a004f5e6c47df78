"""Client of OpenRouter: OpenAI's API, with the app's name and full usage accounting.

Wire: https://openrouter.ai/docs/api-reference/overview
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import features
from providers.completion import CompletionRequest
from providers.openai.client import OpenAIProvider
from providers.openai.dialect import OPENROUTER


class OpenRouterProvider(OpenAIProvider):
    """Requests full usage accounting, so that cached and reasoning tokens are reported."""

    dialect = OPENROUTER
    features = features.OPENROUTER

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        return {**super()._headers(request), "x-title": "AI Cost Optimizer"}

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        return {**super()._payload(request, wire), "usage": {"include": True}}
