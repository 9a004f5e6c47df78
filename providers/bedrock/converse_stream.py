"""Read the stream of Bedrock's Converse API, as the stream of Anthropic's that it resembles.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.anthropic.stream import AnthropicStream
from providers.bedrock.converse_blocks import stop_reason, tier_of
from providers.events import Event


class ConverseStream(AnthropicStream):
    """Reads one stream. The usage comes after the reason for the end."""

    def feed(self, name: str, data: dict[str, Any] | None) -> Iterator[Event]:
        """Yield the events of one message.

        Raises :class:`ProviderError` if the message reports an error.
        """
        if data is not None and (message := _as_anthropic(name, data)) is not None:
            yield from super().feed("", message)


def _as_anthropic(name: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the message of Anthropic's stream that says the same, ``None`` if there is none."""
    if name == "error":
        return dict(data)
    index = data.get("contentBlockIndex")
    if name == "messageStart":
        return {"type": "message_start", "message": {"role": "assistant"}}
    if name == "contentBlockStart":
        use = (data.get("start") or {}).get("toolUse")
        if use is None:
            return None
        block = {
            "type": "tool_use",
            "id": use.get("toolUseId"),
            "name": use.get("name"),
            "input": {},
        }
        return {"type": "content_block_start", "index": index, "content_block": block}
    if name == "contentBlockDelta":
        return _delta(index, data.get("delta") or {})
    if name == "contentBlockStop":
        return {"type": "content_block_stop", "index": index}
    if name == "messageStop":
        reason = stop_reason(data.get("stopReason"))
        return {"type": "message_delta", "delta": {"stop_reason": reason}}
    if name == "metadata":
        usage, tier = data.get("usage"), tier_of(data)
        return {"type": "message_stop", "usage": usage} | ({"service_tier": tier} if tier else {})
    return None


def _delta(index: Any, delta: Mapping[str, Any]) -> dict[str, Any] | None:
    if "text" in delta:
        change: dict[str, Any] = {"type": "text_delta", "text": delta["text"]}
    elif use := delta.get("toolUse"):
        change = {"type": "input_json_delta", "partial_json": use.get("input")}
    elif reasoning := delta.get("reasoningContent"):
        if "redactedContent" in reasoning:
            block = {"type": "redacted_thinking", "data": reasoning["redactedContent"]}
            return {"type": "content_block_start", "index": index, "content_block": block}
        if "signature" in reasoning:
            change = {"type": "signature_delta", "signature": reasoning["signature"]}
        else:
            change = {"type": "thinking_delta", "thinking": reasoning.get("text")}
    else:
        return None
    return {"type": "content_block_delta", "index": index, "delta": change}
