"""Responses without a store, kept as the SDK ``openai`` keeps them: all items of the output."""

from __future__ import annotations

import json
from typing import Any

from tests.optimizer.api.compat.conversation.client import (
    SYSTEM,
    TOOLS,
    ConversationClient,
    Said,
)


class ResponsesClient(ConversationClient):
    path = "/v1/responses"

    def body(self, turns: list[dict[str, Any]]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "instructions": SYSTEM,
            "input": turns,
            "tools": [
                {"type": "function", "name": name, "parameters": parameters, "strict": False}
                for name, parameters in TOOLS.items()
            ],
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
        if self.thinks:
            body["reasoning"] = {"effort": "low", "summary": "auto"}
        if self.marks:
            body["prompt_cache_key"] = "conversation"
        if self.streamed:
            body["stream"] = True
        return body

    def question(self, text: str, picture: str) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
        if picture:
            url = f"data:image/png;base64,{picture}"
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        return {"role": "user", "content": content}

    def results(
        self, results: dict[str, tuple[str, bool]], names: dict[str, str]
    ) -> list[dict[str, Any]]:
        return [
            {"type": "function_call_output", "call_id": call_id, "output": text}
            for call_id, (text, _) in results.items()
        ]

    def answer(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        assert body["status"] == "completed"
        return body["output"]

    def answer_of_stream(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert events[-1]["type"] == "response.completed", events[-1]
        done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
        assert done == events[-1]["response"]["output"]
        return self.answer(events[-1]["response"])

    def read(self, item: dict[str, Any], said: Said) -> None:
        if item["type"] == "message":
            said.text += "".join(part["text"] for part in item["content"])
        elif item["type"] == "function_call":
            said.calls.append((item["call_id"], item["name"], json.loads(item["arguments"])))
