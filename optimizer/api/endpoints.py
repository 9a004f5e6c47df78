"""Which paths answer prompts."""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.api.anthropic.messages import COUNT_TOKENS, MESSAGES
from optimizer.api.http.endpoint import ApiEndpoint
from optimizer.api.openai.chat import CHAT
from optimizer.api.openai.embeddings import EMBEDDINGS
from optimizer.api.openai.responses import RESPONSES
from optimizer.api.v1.complete import COMPLETE

ENDPOINTS: Mapping[str, ApiEndpoint] = {
    "/complete": COMPLETE,
    "/api/v1/complete": COMPLETE,
    "/v1/chat/completions": CHAT,
    "/v1/responses": RESPONSES,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": COUNT_TOKENS,
}
