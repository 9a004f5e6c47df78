"""What DeepSeek and others are told of calls and reasoning that are not their own.

https://api-docs.deepseek.com/guides/thinking_mode: each message with calls needs its
reasoning_content.
"""

from __future__ import annotations

from typing import Any

import pytest

from providers.chat import Chat, Message, OriginalRequest, Text, Thinking, ToolCall, ToolResult
from providers.completion import CompletionRequest
from providers.features import OPENAI
from providers.openai.dialect import SERVER
from providers.openai.request import openai_payload

CALL = ToolCall("call_1", "now", "{}", "sealed")
TURNS = (
    Message("user", (Text("What time is it?"),)),
    Message("assistant", (Thinking("Claude thinks.", "signature"), CALL)),
    Message("user", (ToolResult("call_1", (Text("12:00"),)),)),
)


def message_for(model: str, source: OriginalRequest) -> dict[str, Any]:
    request = CompletionRequest(model, Chat(TURNS, source=source))
    body = openai_payload(request, dialect=SERVER, has=OPENAI, provider="p")
    return body["messages"][1]


@pytest.mark.parametrize(
    ("model", "reasoning"),
    [("deepseek-v4-flash", {"reasoning_content": ""}), ("glm-5.3", {})],
)
def test_reasoning_of_another_api_is_left_out(model: str, reasoning: dict[str, str]) -> None:
    function = {"name": "now", "arguments": "{}"}
    assert message_for(model, OriginalRequest("anthropic", {})) == {
        "role": "assistant",
        "content": None,
        **reasoning,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
