"""What of OpenAI's Responses is understood, and what is refused by name."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from optimizer.api.http.body_reader import InvalidField
from optimizer.api.openai.responses_request import read_response_query
from providers.chat import JsonOutput, Text, ToolCall, ToolResult
from tests.fakes.server import FakeProvider

MODEL = "z-ai/glm-5.3-flash"


def read(**body: Any) -> Any:
    return read_response_query({"model": "auto", "input": "Hello", **body}, "").chat


def test_parameters_are_those_of_a_chat() -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    chat = read(
        instructions="Be brief.", max_output_tokens=77, temperature=0.5, top_p=0.9,
        top_logprobs=3, parallel_tool_calls=False, tool_choice={"type": "function", "name": "f"},
        tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        text={"format": schema, "verbosity": "low"}, reasoning={"effort": "low", "summary": "auto"},
        store=False, truncation="disabled", user="ann", metadata={"a": "b"}, include=[],
        background=False, previous_response_id=None,
    )  # fmt: skip
    assert chat.system == "Be brief."
    assert (chat.max_tokens, chat.temperature, chat.top_p, chat.user) == (77, 0.5, 0.9, "ann")
    assert (chat.logprobs, chat.top_logprobs, chat.parallel_tools) == (True, 3, False)
    assert (chat.tool_choice.mode, chat.tool_choice.name) == ("named", "f")
    assert [tool.name for tool in chat.tools] == ["f"]
    assert chat.output == JsonOutput({"type": "object"}, "n", strict=True)
    assert set(chat.native) == {"reasoning_effort", "verbosity", "metadata"}


def test_items_become_turns() -> None:
    chat = read(
        input=[
            {"role": "developer", "content": "Rules."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Q"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {
                "type": "function_call_output",
                "call_id": "b",
                "output": [{"type": "input_text", "text": "2"}],
            },
        ]
    )
    assert [m.role for m in chat.messages] == ["system", "user", "assistant", "user"]
    assert chat.messages[2].parts == (
        Text("I look."), ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"),
    )  # fmt: skip
    assert chat.messages[3].parts == (
        ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)),
    )  # fmt: skip
    assert chat.last_words == "Q"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type"),
        ({"input": []}, "input"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"something": 1}, "something"),
        ({"reasoning": {"budget": 1}}, "reasoning.budget"),
        ({"model": None}, "model"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidField) as raised:
        read(**change)
    assert raised.value.param == param


async def test_the_answer_repeats_what_was_asked(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    response = await openai_sdk.responses.create(
        model=MODEL, input="Hello", instructions="Be brief.", max_output_tokens=50, store=False
    )
    assert (response.instructions, response.max_output_tokens) == ("Be brief.", 50)
    assert response.usage.input_tokens_details.cached_tokens == 4
    assert response.id.startswith("resp_")
    assert fakes["openrouter"].asked[0].body["max_tokens"] == 50


async def test_a_chat_and_a_response_that_ask_the_same_share_an_answer(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    await openai_sdk.chat.completions.create(model=MODEL, messages=messages)
    raw = await openai_sdk.responses.with_raw_response.create(model=MODEL, input="Hello")
    assert raw.headers["x-optimizer-cache"] == "hit"
    assert len(fakes["openrouter"].asked) == 1
