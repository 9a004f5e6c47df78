"""What changes in a chat completion that is passed on as its provider gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChatRelayRules:
    """The rules of chat completions; ``with_usage`` is whether the stream ends with its usage."""

    with_usage: bool

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Omit the chunk with the usage alone if the client has not asked for it."""
        if self.with_usage or data.get("choices") or "usage" not in data:
            return data
        return data if data.get("object") == "chat.completion" else None

    def summarized(
        self, data: Mapping[str, Any], summary: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Add the summary to the last chunk."""
        return {**data, "optimizer": summary}
