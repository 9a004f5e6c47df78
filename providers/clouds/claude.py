"""The envelope in which clouds take Anthropic's requests: the model stands in the path.

https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai and
https://platform.claude.com/docs/en/build-with-claude/claude-on-amazon-bedrock-legacy
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from providers.anthropic.client import AnthropicProvider, asked_headers
from providers.chat import Chat
from providers.clouds.client import CloudClient
from providers.completion import CompletionRequest
from providers.errors import ProviderError

# Fields that only Anthropic's own platform has, and that say nothing of the answer.
_LABELS = ("service_tier",)
_DATE = re.compile(r"-20\d\d-\d\d-\d\d$")
# Betas that clouds have, without their dates. They refuse a request that names another:
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
_BETAS = frozenset(
    {
        "claude-code", "compact", "computer-use", "context-1m", "context-management",
        "dangerous-tool-use", "effort", "fine-grained-tool-streaming", "interleaved-thinking",
        "mid-conversation-output-config", "mid-conversation-tool-changes", "output-128k",
        "task-budgets", "thinking-binding-controls", "thinking-display-updates",
        "token-efficient-tools", "tool-examples", "tool-search-tool",
    }
)  # fmt: skip


class EnvelopedClaude(CloudClient, AnthropicProvider):
    """Claude of a cloud: ``version`` is that of its envelope."""

    version = ""
    refused_betas: frozenset[str] = frozenset()

    def key_headers(self) -> Mapping[str, str]:
        """Return nothing: each call is authorized on its own."""
        return {}

    def _headers(self, request: CompletionRequest) -> Mapping[str, str]:
        return {}

    def _payload(self, request: CompletionRequest, wire: str | None) -> dict[str, Any]:
        body = super()._payload(request, wire)
        for name in ("model", *_LABELS):
            body.pop(name, None)
        body["anthropic_version"] = self.version
        return body

    def betas(self, chat: Chat) -> list[str]:
        """Return the betas that the client asks for, and that this cloud has."""
        asked = asked_headers(chat).get("anthropic-beta", "")
        named = [beta.strip() for beta in asked.split(",") if beta.strip()]
        known = _BETAS - self.refused_betas
        return [beta for beta in named if _DATE.sub("", beta) in known or _undated(beta) in known]

    def _error_of_wire(self, error: ProviderError) -> ProviderError:
        """Return ``error`` without a body that is not in Anthropic's form."""
        if error.body is not None and error.body.get("type") != "error":
            error.body = None
        return error


def _undated(beta: str) -> str:
    """Return the name of a beta whose date has no hyphens, such as "claude-code-20250219"."""
    return re.sub(r"-20\d{6}$", "", beta)
