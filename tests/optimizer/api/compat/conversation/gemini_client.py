"""Gemini's API, kept as the SDK ``google-genai`` keeps it: the content of each chunk by itself."""

from __future__ import annotations

from typing import Any

from tests.optimizer.api.compat.conversation.client import (
    SYSTEM,
    TOOLS,
    ConversationClient,
    Said,
)


class GeminiClient(ConversationClient):
    tells_errors = True

    @property
    def path(self) -> str:  # type: ignore[override]
        method = "streamGenerateContent?alt=sse" if self.streamed else "generateContent"
        return f"/v1beta/models/{self.model}:{method}"

    def body(self, turns: list[dict[str, Any]]) -> dict[str, Any]:
        functions = [
            {"name": name, "description": name, "parametersJsonSchema": parameters}
            for name, parameters in TOOLS.items()
        ]
        body: dict[str, Any] = {
            "systemInstruction": {"parts": [{"text": SYSTEM}]},
            "contents": turns,
            "tools": [{"functionDeclarations": functions}],
        }
        if self.thinks:
            thinking = {"includeThoughts": True, "thinkingBudget": 2000}
            body["generationConfig"] = {"thinkingConfig": thinking, "maxOutputTokens": 4000}
        return body

    def question(self, text: str, picture: str) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": text}]
        if picture:
            parts.append({"inlineData": {"mimeType": "image/png", "data": picture}})
        return {"role": "user", "parts": parts}

    def results(
        self, results: dict[str, tuple[str, bool]], names: dict[str, str]
    ) -> list[dict[str, Any]]:
        parts = [
            {
                "functionResponse": {
                    "name": names[call_id],
                    # Gemini itself gives its calls no ids.
                    **({} if call_id.startswith("unnamed") else {"id": call_id}),
                    "response": {"error" if failed else "output": text},
                }
            }
            for call_id, (text, failed) in results.items()
        ]
        return [{"role": "user", "parts": parts}]

    def answer(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        (candidate,) = body["candidates"]
        assert candidate["finishReason"] == "STOP"
        return [candidate["content"]]

    def answer_of_stream(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        candidates = [c for event in events for c in event.get("candidates") or ()]
        assert candidates[-1]["finishReason"] == "STOP"
        assert events[-1]["usageMetadata"]["promptTokenCount"] > 0
        contents = [c["content"] for c in candidates if (c.get("content") or {}).get("parts")]
        # Its chats leave out what says nothing.
        return [c for c in contents if any(part != {"text": ""} for part in c["parts"])]

    def read(self, item: dict[str, Any], said: Said) -> None:
        for part in item["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                call_id = call.get("id") or f"unnamed{len(said.calls)}"
                said.calls.append((call_id, call["name"], call.get("args") or {}))
            elif not part.get("thought"):
                said.text += part.get("text", "")
