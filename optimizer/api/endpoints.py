"""The paths that answer prompts, and the endpoint of each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from optimizer.api.anthropic.messages import CountTokensEndpoint, MessagesEndpoint
from optimizer.api.gemini.embeddings import BatchEmbedEndpoint, EmbedEndpoint
from optimizer.api.gemini.generate import (
    CountContentTokensEndpoint,
    GenerateEndpoint,
    StreamGenerateEndpoint,
)
from optimizer.api.http.endpoint import ApiEndpoint
from optimizer.api.openai.chat import ChatCompletionsEndpoint
from optimizer.api.openai.completions.endpoint import CompletionsEndpoint
from optimizer.api.openai.embeddings import EmbeddingsEndpoint
from optimizer.api.openai.responses.endpoint import ResponsesEndpoint
from optimizer.api.openai.specialised.audio import SpeechEndpoint
from optimizer.api.openai.specialised.images import ImagesEndpoint
from optimizer.api.openai.specialised.moderations import ModerationsEndpoint
from optimizer.api.openai.specialised.rerank import RerankEndpoint
from optimizer.api.relayed.token_counts import CompactEndpoint, InputTokensEndpoint
from optimizer.api.v1.complete import CompleteEndpoint
from optimizer.wiring.services import Services

ENDPOINTS: Mapping[str, type[ApiEndpoint]] = {
    "/complete": CompleteEndpoint,
    "/api/v1/complete": CompleteEndpoint,
    "/v1/chat/completions": ChatCompletionsEndpoint,
    "/v1/completions": CompletionsEndpoint,
    "/v1/responses": ResponsesEndpoint,
    "/v1/responses/input_tokens": InputTokensEndpoint,
    "/v1/responses/compact": CompactEndpoint,
    "/v1/embeddings": EmbeddingsEndpoint,
    # The tasks whose requests are forms are served by Django.
    "/v1/images/generations": ImagesEndpoint,
    "/v1/audio/speech": SpeechEndpoint,
    "/v1/moderations": ModerationsEndpoint,
    "/v1/rerank": RerankEndpoint,
    "/v2/rerank": RerankEndpoint,
    "/v1/messages": MessagesEndpoint,
    "/v1/messages/count_tokens": CountTokensEndpoint,
    # Methods of Gemini's API, whose paths hold the model's name.
    ":generateContent": GenerateEndpoint,
    ":streamGenerateContent": StreamGenerateEndpoint,
    ":countTokens": CountContentTokensEndpoint,
    ":embedContent": EmbedEndpoint,
    ":batchEmbedContents": BatchEmbedEndpoint,
}


@lru_cache(maxsize=1)
def endpoints_of(services: Services) -> Mapping[str, ApiEndpoint]:
    """Return the endpoints by path, built once with the process's ``services``."""
    return {path: endpoint.of(services) for path, endpoint in ENDPOINTS.items()}
