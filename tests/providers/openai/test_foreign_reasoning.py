"""What DeepSeek and others are told of calls and reasoning that are not their own.

https://api-docs.deepseek.com/guides/thinking_mode: each message with calls needs its
reasoning_content.
"""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.api.openai.chat_request import read_chat_query
from providers.chat import Chat, Message, OriginalRequest, Text, Thinking, ToolCall, ToolResult
from providers.completion import CompletionRequest
from providers.features import OPENAI, OPENAI_OWN
from providers.openai.answer import upstream_error
from providers.openai.dialect import SERVER
from providers.openai.relayed import relayed_payload
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


@pytest.mark.parametrize(
    ("model", "has", "reasoning"),
    [
        ("gpt-6-luna", OPENAI_OWN, None),
        ("kimi-k2.6", OPENAI, "Another thinks."),
        ("kimi-k2.6", OPENAI, ""),
        ("glm-5.3", OPENAI, None),
    ],
)
def test_a_named_model_gets_unsealed_reasoning_where_it_takes_any(
    model: str, has: frozenset[str], reasoning: str | None
) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    shown = {"reasoning_content": "Another thinks."} if has is OPENAI_OWN or reasoning else {}
    messages = [
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": None, "tool_calls": [call], **shown},
        {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
    ]
    chat = read_chat_query({"model": model, "messages": messages}, "")[0].chat
    body = relayed_payload(CompletionRequest(model, chat), dialect=SERVER, has=has, provider="p")
    assert body["messages"][1].get("reasoning_content") == reasoning


def test_a_filter_that_ends_a_stream_is_no_malformed_answer() -> None:
    error = {"code": "content_filter", "message": "Filtered.", "status": 400}
    assert upstream_error("azure", error).code == "content_blocked"
