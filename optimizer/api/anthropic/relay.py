"""What changes in a message that is passed on as its provider gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class MessageRelayRules:
    """The rules of messages: ``model`` is the name that the client asked for.

    Agents take another name in the answer for a switch of models, and then drop the reasoning
    that they have.
    """

    model: str

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Set the model of the message to the name that the client asked for."""
        message = data.get("message")
        if isinstance(message, Mapping) and message.get("model") not in (None, self.model):
            return {**data, "message": {**message, "model": self.model}}
        if data.get("type") == "message" and data.get("model") not in (None, self.model):
            return {**data, "model": self.model}
        return data

    def summarized(
        self, data: Mapping[str, Any], summary: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Add the summary to the message's closing event."""
        return {**data, "optimizer": summary} if data.get("type") == "message_delta" else None
