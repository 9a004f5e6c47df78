"""Anthropic's messages, kept as the SDK ``anthropic`` keeps them: all blocks of the content."""

from __future__ import annotations

import json
from typing import Any

from tests.optimizer.api.compat.conversation.client import (
    MARK,
    SYSTEM,
    TOOLS,
    ConversationClient,
    Said,
)


class MessagesClient(ConversationClient):
    path = "/v1/messages"
    tells_errors = True

    def body(self, turns: list[dict[str, Any]]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": 4000,
            "system": SYSTEM,
            "messages": turns,
            "tools": [
                {"name": name, "input_schema": parameters} for name, parameters in TOOLS.items()
            ],
        }
        if self.marks:
            body["system"] = [{"type": "text", "text": SYSTEM, "cache_control": MARK}]
            content = turns[-1]["content"]
            last = {**content[-1], "cache_control": MARK}
            body["messages"] = [*turns[:-1], {**turns[-1], "content": [*content[:-1], last]}]
        if self.thinks:
            body["thinking"] = {"type": "enabled", "budget_tokens": 2000}
        if self.streamed:
            body["stream"] = True
        return body

    def question(self, text: str, picture: str) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        if picture:
            source = {"type": "base64", "media_type": "image/png", "data": picture}
            content.append({"type": "image", "source": source})
        return {"role": "user", "content": content}

    def results(
        self, results: dict[str, tuple[str, bool]], names: dict[str, str]
    ) -> list[dict[str, Any]]:
        blocks = [
            {
                "type": "tool_result", "tool_use_id": call_id, "content": text,
                **({"is_error": True} if failed else {}),
            }
            for call_id, (text, failed) in results.items()
        ]  # fmt: skip
        return [{"role": "user", "content": blocks}]

    def answer(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        content = body["content"]
        calls = any(block["type"] == "tool_use" for block in content)
        assert body["stop_reason"] == ("tool_use" if calls else "end_turn")
        assert all(b["signature"] for b in content if b["type"] == "thinking")
        return [{"role": "assistant", "content": content}]

    def answer_of_stream(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        message: dict[str, Any] = {}
        for event in events:
            kind = event["type"]
            assert kind != "error", event
            if kind == "message_start":
                message = event["message"]
            elif kind == "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append({**event["content_block"]})
            elif kind == "content_block_delta":
                _add(message["content"][event["index"]], event["delta"])
            elif kind == "content_block_stop":
                block = message["content"][event["index"]]
                if "json" in block:
                    block["input"] = json.loads(block.pop("json") or "{}")
            elif kind == "message_delta":
                message |= event["delta"]
        assert events[-1]["type"] == "message_stop"
        return self.answer(message)

    def read(self, item: dict[str, Any], said: Said) -> None:
        for block in item["content"]:
            if block["type"] == "text":
                said.text += block["text"]
            elif block["type"] == "tool_use":
                said.calls.append((block["id"], block["name"], block["input"]))


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a delta to its block, as the SDK does: texts grow, a signature is set."""
    kind = delta["type"]
    if kind == "text_delta":
        block["text"] += delta["text"]
    elif kind == "thinking_delta":
        block["thinking"] += delta["thinking"]
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]
    elif kind == "input_json_delta":
        block["json"] = block.get("json", "") + delta["partial_json"]
    else:
        raise AssertionError(f"Unknown delta: {kind}")
