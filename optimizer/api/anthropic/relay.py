"""What changes in a message that is passed on as its provider gave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from optimizer.api.anthropic.answer import stop_reason, usage_body
from optimizer.api.compat.relay import RelayRules
from optimizer.api.compat.stream_encoder import stream_summary
from optimizer.domain.result import CompletionResult
from providers.events import Relayed


@dataclass(frozen=True, slots=True)
class MessageRelayRules(RelayRules):
    """The rules of messages: ``model`` is the name that the client asked for.

    Agents take another name in the answer for a switch of models, and then drop the reasoning
    that they have.
    """

    model: str

    last: ClassVar[Relayed | None] = Relayed(
        "message_stop", '{"type": "message_stop"}', {"type": "message_stop"}
    )

    def changed(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Set the model of the message to the name that the client asked for."""
        message = data.get("message")
        if not isinstance(message, Mapping):
            return data
        if not message.get("usage"):
            # Clients count from here on; the closing event has the counts.
            message = {**message, "usage": {"input_tokens": 0, "output_tokens": 0}}
        if message.get("model") not in (None, self.model):
            message = {**message, "model": self.model}
        return data if message is data["message"] else {**data, "message": message}

    def whole(self, body: Mapping[str, Any], result: CompletionResult) -> Mapping[str, Any]:
        """Set the model likewise, and add the usage if the provider reports none."""
        if body.get("model") not in (None, self.model):
            body = {**body, "model": self.model}
        if body.get("usage"):
            return body
        return {**body, "usage": usage_body(result.completion.usage)}

    def missing_ending(
        self, endings: Sequence[Relayed], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Return the event that says why the answer ended, where the provider did not."""
        if any(map(_has_stop_reason, endings)):
            return None
        choice = result.completion.choices[0]
        reason = stop_reason(
            None, choice.finish_reason, choice.stop_sequence, called=bool(choice.tool_calls)
        )
        return {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": choice.stop_sequence},
            "usage": usage_body(result.completion.usage),
        }

    def summarized(
        self, data: Mapping[str, Any], result: CompletionResult
    ) -> Mapping[str, Any] | None:
        """Add the summary to the closing event, and the usage if the provider reports none."""
        if data.get("type") != "message_delta":
            return None
        usage = data.get("usage") or usage_body(result.completion.usage)
        return {**data, "usage": usage, "optimizer": stream_summary(result)}


def _has_stop_reason(event: Relayed) -> bool:
    delta = event.data.get("delta") if event.data else None
    return isinstance(delta, Mapping) and bool(delta.get("stop_reason"))
