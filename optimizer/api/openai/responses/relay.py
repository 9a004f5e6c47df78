"""What changes in a response that is passed on as its provider gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.domain.result import CompletionResult
from providers.events import Relayed


class ResponseRelayRules:
    """The rules of responses."""

    last: ClassVar[Relayed | None] = None

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Change nothing."""
        return data

    def whole(self, body: Mapping[str, Any], result: CompletionResult) -> Mapping[str, Any]:
        """Change nothing."""
        return body

    def summarized(
        self, data: Mapping[str, Any], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Add the summary to the response in the last event."""
        response = data.get("response")
        if not isinstance(response, Mapping):
            return None
        return {**data, "response": {**response, "optimizer": stream_summary(result)}}
