"""Tools in the form of another API, which Cursor sends to chat completions.

https://github.com/BerriAI/litellm/pull/34029
"""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.api.anthropic.content import TurnReader
from optimizer.api.http.body_reader import BodyReader
from optimizer.api.openai.chat_input.flat_tools import with_nested_tools
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.responses.input import InputReader
from optimizer.api.openai.responses.tools import ResponseTools
from providers.chat import Native, Text, Tool, ToolCall, ToolChoice, ToolResult

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
NESTED: dict[str, Any] = {
    "type": "function", "function": {"name": "read", "description": "Read", "parameters": SCHEMA}
}  # fmt: skip
GRAMMAR = {"syntax": "lark", "definition": "start: /.+/"}
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("tool", "nested"),
    [
        ({"type": "function", **NESTED["function"], "strict": None}, NESTED),
        ({"name": "read", "description": "Read", "input_schema": SCHEMA}, NESTED),
        (
            {"type": "custom", "name": "ApplyPatch", "format": {"type": "grammar", **GRAMMAR}},
            {"type": "custom", "custom": {
                "name": "ApplyPatch", "format": {"type": "grammar", "grammar": GRAMMAR}}},
        ),
    ],
)  # fmt: skip
def test_tools_are_nested_for_every_provider(tool: Any, nested: Any) -> None:
    query, _ = read_chat_query({**BODY, "tools": [NESTED, tool]}, "")
    assert query.chat.source is not None
    assert query.chat.source.body["tools"] == [NESTED, nested]
    if nested is NESTED:
        assert query.chat.tools[1] == Tool("read", "Read", SCHEMA)
    else:
        assert query.chat.tools[1] == Tool("ApplyPatch", "", freeform=True)
    assert not query.chat.native


def test_the_choice_of_one_is_nested() -> None:
    body = {**BODY, "tools": [NESTED], "tool_choice": {"type": "function", "name": "read"}}
    query, _ = read_chat_query(body, "")
    assert query.chat.tool_choice == ToolChoice("named", "read")
    assert query.chat.source is not None
    choice = query.chat.source.body["tool_choice"]
    assert choice == {"type": "function", "function": {"name": "read"}}


@pytest.mark.parametrize(
    "tools", [None, [], [NESTED], "x", [{"type": "web_search"}], [{"type": "function"}], [5]]
)
def test_others_stay(tools: Any) -> None:
    body = {**BODY, "tools": tools, "tool_choice": "auto"}
    assert with_nested_tools(body) is body


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_other_apis_are_offered_the_allowed_tools_alone(mode: str) -> None:
    # https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice
    other = {"type": "function", "function": {"name": "write"}}
    only = [{"type": "function", "function": {"name": "read"}}]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": only}}
    query, _ = read_chat_query({**BODY, "tools": [NESTED, other], "tool_choice": choice}, "")
    assert [tool.name for tool in query.chat.tools] == ["read"]
    assert query.chat.tool_choice.mode == mode
    assert not query.chat.native
    assert query.chat.source is not None
    assert query.chat.source.body["tool_choice"] == choice


def test_a_result_that_is_an_object_is_json_text() -> None:
    result = {"role": "tool", "tool_call_id": "c1", "content": {"ok": True, "name": "Zürich"}}
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    turns = [{"role": "assistant", "tool_calls": [call]}, result]
    query, _ = read_chat_query({**BODY, "messages": turns, "tools": [NESTED]}, "")
    (part,) = query.chat.messages[-1].parts
    assert isinstance(part, ToolResult)
    assert part.text == '{"ok": true, "name": "Zürich"}'
    item = {"type": "function_call_output", "call_id": "c1", "output": {"ok": True}}
    reader = InputReader(ResponseTools())
    reader.read(BodyReader({"input": [item]}))
    (turn,) = reader.messages
    assert isinstance(turn.parts[0], ToolResult)
    assert turn.parts[0].text == '{"ok": true}'


def test_an_input_that_is_json_text_is_not_written_as_json_once_more() -> None:
    # https://github.com/VoltAgent/voltagent/issues/1336
    call = {"type": "tool_use", "id": "t", "name": "read", "input": '{"a": 1}'}
    turns = BodyReader({"messages": [{"role": "assistant", "content": [call]}]})
    (turn,) = TurnReader().turns(turns)
    assert turn.parts == (ToolCall("t", "read", '{"a": 1}'),)


# https://github.com/langchain-ai/langchainjs/pull/11092
@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ({"ok": True, "name": "Zürich"}, ['{"ok": true, "name": "Zürich"}']),
        ({"type": "success", "id": 1}, ['{"type": "success", "id": 1}']),
        ({"type": "text", "text": "A"}, ["A"]),
        (["A", {"type": "text", "text": "B"}, {"id": 1}, 5], ["A", "B", '{"id": 1}', "5"]),
        (5, ["5"]),
        (None, []),
        ([], []),
    ],
)
def test_a_result_of_anthropic_s_api_that_is_no_block_is_text(
    content: Any, texts: list[str]
) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": content}
    turns = BodyReader({"messages": [{"role": "user", "content": [result]}]})
    (turn,) = TurnReader().turns(turns)
    assert turn.parts == (ToolResult("t", tuple(map(Text, texts))),)


def test_a_block_of_a_result_that_is_not_known_stays_with_its_provider() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "new_block"}]}
    turns = BodyReader({"messages": [{"role": "user", "content": [result]}]})
    (turn,) = TurnReader().turns(turns)
    assert turn.parts == (Native("tool_result"),)
