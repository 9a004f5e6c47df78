"""What changes in a chat completion that is passed on as its provider gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.api.openai.chat_answer import usage_body
from optimizer.domain.result import CompletionResult


@dataclass(frozen=True, slots=True)
class ChatRelayRules:
    """The rules of chat completions; ``with_usage`` is whether the stream ends with its usage."""

    with_usage: bool

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Omit the chunk with the usage alone if the client has not asked for it."""
        if self.with_usage or data.get("choices") or "usage" not in data:
            return data
        return None

    def whole(self, body: Mapping[str, Any], result: CompletionResult) -> Mapping[str, Any]:
        """Add the usage if the provider reports none."""
        if body.get("usage"):
            return body
        return {**body, "usage": usage_body(result.completion.usage)}

    def summarized(
        self, data: Mapping[str, Any], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Add the summary to the last chunk, and the usage if the provider reports none."""
        summarized = {**data, "optimizer": stream_summary(result)}
        if self.with_usage and not data.get("usage"):
            summarized["usage"] = usage_body(result.completion.usage)
        return summarized
