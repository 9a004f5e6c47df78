"""A conversation whose answers were streamed, as Google's SDK keeps it: chunk by chunk."""

from __future__ import annotations

from typing import Any

from optimizer.api.gemini.request_reader.query import read_generate_query
from providers.chat import Text, ToolCall, ToolResult


def model(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": [part]}


def test_chunks_of_an_answer_are_one_turn() -> None:
    results = [
        {"functionResponse": {"name": name, "response": {"output": name}}} for name in ("a", "b")
    ]
    contents = [
        {"role": "user", "parts": [{"text": "Hi."}]},
        model({"text": "I "}),
        model({"text": "look."}),
        model({"functionCall": {"name": "a", "args": {}}}),
        model({"functionCall": {"name": "b", "args": {}}}),
        {"role": "user", "parts": results},
    ]
    chat = read_generate_query({"contents": contents}, "auto", "").chat
    assert [message.role for message in chat.messages] == ["user", "assistant", "user"]
    assert chat.messages[1].parts == (
        Text("I look."), ToolCall("call_1", "a", "{}"), ToolCall("call_2", "b", "{}")
    )  # fmt: skip
    assert chat.messages[2].parts == (
        ToolResult("call_1", (Text("a"),)), ToolResult("call_2", (Text("b"),))
    )  # fmt: skip
