"""Chat completions, kept as the SDK ``openai`` keeps them."""

from __future__ import annotations

import json
from typing import Any

from openai.lib.streaming._deltas import accumulate_delta

from tests.optimizer.api.compat.conversation.client import (
    MARK,
    SYSTEM,
    TOOLS,
    ConversationClient,
    Said,
)


class ChatClient(ConversationClient):
    path = "/v1/chat/completions"

    def body(self, turns: list[dict[str, Any]]) -> dict[str, Any]:
        system: dict[str, Any] = {"role": "system", "content": SYSTEM}
        if self.marks:
            system["content"] = [{"type": "text", "text": SYSTEM, "cache_control": MARK}]
            if isinstance(turns[-1]["content"], str) and turns[-1]["role"] == "user":
                part = {"type": "text", "text": turns[-1]["content"], "cache_control": MARK}
                turns = [*turns[:-1], {**turns[-1], "content": [part]}]
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [system, *turns],
            "tools": [
                {"type": "function", "function": {"name": name, "parameters": parameters}}
                for name, parameters in TOOLS.items()
            ],
        }
        if self.thinks:
            body["reasoning_effort"] = "low"
        if self.streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def question(self, text: str, picture: str) -> dict[str, Any]:
        if not picture:
            return {"role": "user", "content": text}
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
        return {"role": "user", "content": [{"type": "text", "text": text}, image]}

    def results(
        self, results: dict[str, tuple[str, bool]], names: dict[str, str]
    ) -> list[dict[str, Any]]:
        return [
            {"role": "tool", "tool_call_id": call_id, "content": text}
            for call_id, (text, _) in results.items()
        ]

    def answer(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        (choice,) = body["choices"]
        assert choice["finish_reason"] == ("tool_calls" if _calls(choice["message"]) else "stop")
        return [choice["message"]]

    def answer_of_stream(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        message: dict[Any, Any] = {}
        finish = None
        for event in events:
            assert "error" not in event, event
            for choice in event["choices"]:
                message = accumulate_delta(message, choice["delta"])
                finish = choice.get("finish_reason") or finish
        assert finish == ("tool_calls" if _calls(message) else "stop")
        assert events[-1]["usage"]["prompt_tokens"] > 0
        for call in _calls(message):
            call.pop("index")  # the SDK's types for whole answers do not have it
        return [message]

    def read(self, item: dict[str, Any], said: Said) -> None:
        said.text += item.get("content") or ""
        for call in _calls(item):
            function = call["function"]
            said.calls.append((call["id"], function["name"], json.loads(function["arguments"])))


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    return message.get("tool_calls") or []
