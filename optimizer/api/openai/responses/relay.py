"""What changes in a response that is passed on as its provider gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ResponseRelayRules:
    """The rules of responses."""

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Change nothing."""
        return data

    def summarized(
        self, data: Mapping[str, Any], summary: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Add the summary to the response in the last event."""
        response = data.get("response")
        if not isinstance(response, Mapping):
            return None
        return {**data, "response": {**response, "optimizer": summary}}
