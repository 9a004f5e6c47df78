"""What of OpenAI's Responses is understood, and what is refused by name."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from optimizer.api.http.body_reader import InvalidField
from optimizer.api.openai.responses.request import read_response_query
from optimizer.api.openai.responses.tools import ResponseTools
from optimizer.domain.reasoning_seals import seal_call
from providers.chat import JsonOutput, Reasoning, Text, Thinking, ToolCall, ToolResult
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
    assert (chat.reasoning, chat.verbosity) == (Reasoning("low", shown="summarized"), "low")
    assert (chat.native, chat.extras) == ((), ("metadata",))


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
        Thinking(details={"type": "reasoning", "id": "rs_1", "summary": []}), Text("I look."),
        ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"),
    )  # fmt: skip
    assert chat.messages[3].parts == (
        ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)),
    )  # fmt: skip
    assert chat.last_words == "Q"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].id"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"model": None}, "model"),
        ({"input": 5}, "input"),
    ],
)
def test_what_nobody_could_read_is_named(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidField) as raised:
        read(**change)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("change", "native"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools.web_search"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice"),
    ],
)
def test_what_only_openai_keeps_or_runs_needs_its_own_models(
    change: dict[str, Any], native: str
) -> None:
    assert read(**change).native == (native,)


def test_an_agent_works_without_the_tools_that_openai_runs() -> None:
    own = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    chat = read(tools=[own, {"type": "web_search"}, {"type": "tool_search"}])
    assert [tool.name for tool in chat.tools] == ["f"]
    assert (chat.native, chat.extras) == ((), ("tools.web_search", "tools.tool_search"))


def test_unknown_fields_are_left_out_by_other_apis() -> None:
    assert read(something=1, include=["reasoning.encrypted_content"]).extras == (
        "something", "include",
    )  # fmt: skip


def test_tools_of_coding_agents_become_functions() -> None:
    chat = read(
        tools=[
            {"type": "custom", "name": "apply_patch", "format": {"definition": "start: x"}},
            {"type": "local_shell"},
            {"type": "namespace", "name": "mcp", "tools": [{"type": "function", "name": "read"}]},
        ],
        input=[
            {"type": "additional_tools", "role": "developer", "tools": [{"name": "more"}]},
            {"role": "user", "content": "Go."},
            {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": "+x"},
            {"type": "custom_tool_call_output", "call_id": "a", "output": "Done."},
            {"type": "local_shell_call", "call_id": "b", "action": {"command": ["ls"]}},
            {"type": "local_shell_call_output", "call_id": "b", "output": "a.txt"},
            {"type": "function_call", "call_id": "c", "namespace": "mcp", "name": "read"},
            {"type": "function_call_output", "call_id": "c", "output": "text"},
        ],
    )
    assert [tool.name for tool in chat.tools] == ["apply_patch", "local_shell", "mcp__read", "more"]
    assert "start: x" in chat.tools[0].description
    calls = [part for part in chat.parts() if isinstance(part, ToolCall)]
    assert [(call.name, call.arguments) for call in calls] == [
        ("apply_patch", '{"input": "+x"}'), ("local_shell", '{"command": ["ls"]}'),
        ("mcp__read", ""),
    ]  # fmt: skip
    results = [part for part in chat.parts() if isinstance(part, ToolResult)]
    assert [result.text for result in results] == ["Done.", "a.txt", "text"]


def test_calls_come_back_as_the_client_knows_them() -> None:
    tools = ResponseTools.of(
        {
            "tools": [
                {"type": "custom", "name": "exec"},
                {"type": "local_shell"},
                {"type": "shell"},
                {"type": "namespace", "name": "mcp", "tools": [{"name": "read"}]},
            ]
        }
    )
    custom = tools.call_item("fc_1", "a", "exec", '{"input": "ls"}', "completed")
    assert (custom["type"], custom["name"], custom["input"]) == ("custom_tool_call", "exec", "ls")
    local = tools.call_item("fc_1", "a", "local_shell", '{"command": "ls -a"}', "completed")
    assert local["action"] == {"type": "exec", "env": {}, "command": ["bash", "-lc", "ls -a"]}
    shell = tools.call_item("fc_1", "a", "shell", '{"commands": ["ls"]}', "completed")
    assert shell["action"]["commands"] == ["ls"]
    inner = tools.call_item("fc_1", "a", "mcp__read", "{}", "completed")
    assert (inner["type"], inner["namespace"], inner["name"]) == ("function_call", "mcp", "read")
    plain = tools.call_item("fc_1", "a", "other", "{}", "completed")
    assert (plain["type"], plain["name"]) == ("function_call", "other")


def test_an_item_of_this_service_that_is_forgotten_is_left_out() -> None:
    item = {"type": "item_reference", "id": "msg_01a2227a-e2ad-7d57-82f4-b83d5685fe26_0"}
    chat = read(input=[{"role": "user", "content": "Hi"}, item])
    assert (chat.native, chat.extras, len(chat.messages)) == ((), ("input.item_reference",), 1)


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


def test_a_call_gets_its_signature_back_from_the_item_before_it() -> None:
    signed = ToolCall("call_1", "now", "{}", "signature", ("gemini", "m"))
    reasoning = {
        "type": "reasoning", "id": "rs_1", "summary": [],
        "encrypted_content": seal_call(signed, "gemini", "m"),
    }  # fmt: skip
    calls = [
        {"type": "function_call", "call_id": f"call_{n}", "name": "now", "arguments": "{}"}
        for n in (1, 2)
    ]
    chat = read(input=[reasoning, *calls])
    assert chat.messages[0].parts == (signed, ToolCall("call_2", "now", "{}"))
    assert chat.sealed


def test_only_the_allowed_tools_reach_other_providers() -> None:
    """https://platform.openai.com/docs/api-reference/responses/create#responses-create-tool_choice"""
    names = ("look", "run")
    tools = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in names]
    allowed = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "look"}],
    }
    body = {"model": "auto", "input": "Hello", "tools": tools, "tool_choice": allowed}
    chat = read_response_query(body, "").chat
    assert [tool.name for tool in chat.tools] == ["look"]
    assert not chat.native


def test_a_conversation_that_is_to_be_cut_is_said_to_be_left_whole() -> None:
    body = {"model": "auto", "input": "Hello", "truncation": "auto"}
    assert read_response_query(body, "").chat.extras == ("truncation",)
