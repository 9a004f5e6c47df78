"""The paths that answer prompts, and the endpoint of each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from django.utils.module_loading import import_string

from optimizer.api.http.endpoint import ApiEndpoint
from optimizer.wiring.services import Services

_COMPLETE = "optimizer.api.v1.complete.CompleteEndpoint"
_SPECIALISED = "optimizer.api.openai.specialised"
_RERANK = f"{_SPECIALISED}.rerank.RerankEndpoint"
_GEMINI = "optimizer.api.gemini"

# Each is imported with the first request to it: clients of one worker rarely use all APIs.
ENDPOINTS: Mapping[str, str] = {
    "/complete": _COMPLETE,
    "/api/v1/complete": _COMPLETE,
    "/v1/chat/completions": "optimizer.api.openai.chat.ChatCompletionsEndpoint",
    "/v1/completions": "optimizer.api.openai.completions.endpoint.CompletionsEndpoint",
    "/v1/responses": "optimizer.api.openai.responses.endpoint.ResponsesEndpoint",
    "/v1/responses/input_tokens": "optimizer.api.relayed.token_counts.InputTokensEndpoint",
    "/v1/responses/compact": "optimizer.api.relayed.token_counts.CompactEndpoint",
    "/v1/embeddings": "optimizer.api.openai.embeddings.EmbeddingsEndpoint",
    # The tasks whose requests are forms are served by Django.
    "/v1/images/generations": f"{_SPECIALISED}.images.ImagesEndpoint",
    "/v1/audio/speech": f"{_SPECIALISED}.audio.SpeechEndpoint",
    "/v1/moderations": f"{_SPECIALISED}.moderations.ModerationsEndpoint",
    "/v1/rerank": _RERANK,
    "/v2/rerank": _RERANK,
    "/v1/messages": "optimizer.api.anthropic.messages.MessagesEndpoint",
    "/v1/messages/count_tokens": "optimizer.api.anthropic.messages.CountTokensEndpoint",
    # Methods of Gemini's API, whose paths hold the model's name.
    ":generateContent": f"{_GEMINI}.generate.GenerateEndpoint",
    ":streamGenerateContent": f"{_GEMINI}.generate.StreamGenerateEndpoint",
    ":countTokens": f"{_GEMINI}.generate.CountContentTokensEndpoint",
    ":embedContent": f"{_GEMINI}.embeddings.EmbedEndpoint",
    ":batchEmbedContents": f"{_GEMINI}.embeddings.BatchEmbedEndpoint",
}


class _Endpoints(dict[str, ApiEndpoint | None]):
    """The endpoints that were asked for; each is built with ``services`` when it is first."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services

    def __missing__(self, path: str) -> ApiEndpoint | None:
        """Build the endpoint; ``None``, which is not kept, if there is none at ``path``."""
        name = ENDPOINTS.get(path)
        if name is None:
            return None
        endpoint: ApiEndpoint = import_string(name).of(self._services)
        self[path] = endpoint
        return endpoint


@lru_cache(maxsize=1)
def endpoints_of(services: Services) -> Mapping[str, ApiEndpoint | None]:
    """Return the endpoints by path, and ``None`` for other paths."""
    return _Endpoints(services)
