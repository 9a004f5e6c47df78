"""Which paths answer prompts."""

from __future__ import annotations

from collections.abc import Mapping

from optimizer.api.complete import COMPLETE
from optimizer.api.gateway.anthropic.messages import COUNT_TOKENS, MESSAGES
from optimizer.api.gateway.openai.chat import CHAT
from optimizer.api.gateway.openai.embeddings import EMBEDDINGS
from optimizer.api.gateway.openai.responses import RESPONSES
from optimizer.api.hot.asking import Endpoint

ENDPOINTS: Mapping[str, Endpoint] = {
    "/complete": COMPLETE,
    "/api/v1/complete": COMPLETE,
    "/v1/chat/completions": CHAT,
    "/v1/responses": RESPONSES,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": COUNT_TOKENS,
}
