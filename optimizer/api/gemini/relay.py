"""What changes in an answer of Gemini that is passed on as Google gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GenerateRelayRules:
    """The rules of Gemini's API: nothing changes; its ``modelVersion`` is the model's own."""

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return ``data`` as it is."""
        return data

    def summarized(
        self, data: Mapping[str, Any], summary: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Add the summary to the last message; Google's clients leave out what they don't know."""
        return {**data, "optimizer": summary}
