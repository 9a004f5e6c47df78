"""What changes in an answer of Gemini that is passed on as Google gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.domain.result import CompletionResult
from providers.events import Relayed


@dataclass(frozen=True, slots=True)
class GenerateRelayRules:
    """The rules of Gemini's API: nothing changes; its ``modelVersion`` is the model's own."""

    last: ClassVar[Relayed | None] = None

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return ``data`` as it is."""
        return data

    def whole(self, body: Mapping[str, Any], result: CompletionResult) -> Mapping[str, Any]:
        """Return ``body`` as it is."""
        return body

    def summarized(
        self, data: Mapping[str, Any], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Add the summary to the last message; Google's clients leave out what they don't know."""
        return {**data, "optimizer": stream_summary(result)}
