"""What changes in a response that is passed on as its provider gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimizer.api.compat.relay import RelayRules
from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.domain.result import CompletionResult


class ResponseRelayRules(RelayRules):
    """The rules of responses: nothing changes but the last event."""

    __slots__ = ()

    def summarized(
        self, data: Mapping[str, Any], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Add the summary to the response in the last event."""
        response = data.get("response")
        if not isinstance(response, Mapping):
            return None
        return {**data, "response": {**response, "optimizer": stream_summary(result)}}
