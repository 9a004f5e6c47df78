"""Streamed calls whose id and name are repeated, changed, late or in pieces."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from providers.assembly import CompletionBuilder
from providers.chat import Chat, Tool, ToolCall
from providers.completion import CompletionRequest
from providers.openai.stream import OpenAIStream

TOOLS = tuple(Tool(name, "", {"type": "object", "properties": {}}) for name in ("get_weather", "f"))
REQUEST = CompletionRequest("m", replace(Chat.of_prompt("Hello"), tools=TOOLS))


def _piece(arguments: str = "", name: Any = None, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({} if name is None else {"name": name})
    call = {"index": 0, **more, "function": function}
    return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}


END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
VARIANTS = {
    # https://github.com/SillyTavern/SillyTavern/pull/5948 (Fireworks)
    "all repeated": [
        _piece('{"a"', "get_weather", id="c1", type="function"),
        _piece(":1}", "get_weather", id="c1", type="function"),
    ],
    # https://github.com/NousResearch/hermes-agent/pull/11984 (MiniMax at NVIDIA)
    "the name repeated": [
        _piece("", "get_weather", id="c1"),
        _piece('{"a":1}', "get_weather"),
    ],
    # https://github.com/poolsideai/pool/issues/9
    "another id in each delta": [
        _piece("", "get_weather", id="c1"),
        _piece('{"a"', id="c2"),
        _piece(":1}", id="c2"),
    ],
    # https://github.com/pipecat-ai/pipecat/pull/5023
    "the id, then the name": [
        _piece(id="c1", type="function"),
        _piece("", "get_weather"),
        _piece('{"a":1}'),
    ],
    # https://github.com/NVIDIA-NeMo/Switchyard/pull/785
    "the name in pieces": [
        _piece("", "get_", id="c1"),
        _piece("", "weather"),
        _piece('{"a":1}'),
    ],
}


@pytest.mark.parametrize("relayed", [True, False])
@pytest.mark.parametrize("pieces", VARIANTS.values(), ids=VARIANTS)
def test_the_pieces_are_one_call(pieces: list[dict[str, Any]], relayed: bool) -> None:
    pieces = copy.deepcopy([*pieces, END])
    reader, builder = OpenAIStream("p", REQUEST, relayed=relayed), CompletionBuilder("p", REQUEST)
    for data in (*pieces, None):
        for event in reader.feed("message", data):
            builder.add(event)
    (choice,) = builder.completion().choices
    assert choice.parts == (ToolCall("c1", "get_weather", '{"a":1}'),)
    # Clients of this wire put the texts of all deltas together.
    deltas = [d for p in pieces for d in p["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(d.get("id") or "" for d in deltas) == "c1"
    assert "".join(d["function"].get("name") or "" for d in deltas) == "get_weather"
    assert {d["index"] for d in deltas} == {0}


def test_a_call_without_arguments_is_whole_where_no_end_is_said() -> None:
    reader, builder = OpenAIStream("p", REQUEST, relayed=False), CompletionBuilder("p", REQUEST)
    for data in (_piece("", "f", id="c1"), None):
        for event in reader.feed("message", copy.deepcopy(data)):
            builder.add(event)
    (choice,) = builder.completion().choices
    assert choice.parts == (ToolCall("c1", "f", "{}"),)
    assert choice.finish_reason == "tool_calls"


def _calls(pieces: list[dict[str, Any]], relayed: bool, *tools: str) -> list[tuple[str, str]]:
    """Return the names and the arguments that a client gets of the calls in ``pieces``."""
    offered = tuple(Tool(name, "", {"type": "object", "properties": {}}) for name in tools)
    request = CompletionRequest("m", replace(Chat.of_prompt("Hello"), tools=offered))
    reader, builder = OpenAIStream("p", request, relayed=relayed), CompletionBuilder("p", request)
    for data in (*copy.deepcopy([*pieces, END]), None):
        for event in reader.feed("message", data):
            builder.add(event)
    parts = builder.completion().choices[0].parts
    assert len({part.id for part in parts if isinstance(part, ToolCall)}) == len(parts)
    return [(part.name, part.arguments) for part in parts if isinstance(part, ToolCall)]


@pytest.mark.parametrize("relayed", [True, False])
@pytest.mark.parametrize("index", [0, None])
def test_calls_without_ids_are_told_apart(index: int | None, relayed: bool) -> None:
    pieces = [
        _piece('{"a":', "get_weather", index=index),
        _piece('"{}{}"}', "get_weather", index=index),
        _piece('{"a":2}', "get_weather", index=index),
        _piece("{}", "f", index=index),
    ]
    assert _calls(pieces, relayed, "get_weather", "f") == [
        ("get_weather", '{"a":"{}{}"}'),
        ("get_weather", '{"a":2}'),
        ("f", "{}"),
    ]


@pytest.mark.parametrize("relayed", [True, False])
def test_a_name_in_pieces_may_begin_with_that_of_another_tool(relayed: bool) -> None:
    pieces = [_piece("", "get", id="c1"), _piece("", "_weather"), _piece('{"a":1}')]
    assert _calls(pieces, relayed, "get", "get_weather") == [("get_weather", '{"a":1}')]
    pieces = [_piece("", "get", id="c1"), _piece("", "get"), _piece('{"a":1}')]
    assert _calls(pieces, relayed, "get", "get_weather") == [("get", '{"a":1}')]


ODD = (None, "", 5, True, "x", [], {}, ["a"], {"a": 1}, 10**30)


@pytest.mark.parametrize("relayed", [True, False])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_values_in_calls_do_not_break_the_stream(odd: Any, relayed: bool) -> None:
    forms: list[Any] = [
        {"type": "custom", "function": odd},
        {"type": "custom", "custom": {"name": odd, "input": odd}},
        {"custom": {"name": "f", "input": odd}},
        {"function": {"name": odd, "arguments": odd}},
        odd,
    ]
    for first in forms:
        for second in forms:
            deltas = [{"tool_calls": [form]} for form in (first, second)]
            ends = {"tool_calls": odd, "function_call": odd, "content": [{"type": odd}]}
            reader = OpenAIStream("p", REQUEST, relayed=relayed)
            for delta in copy.deepcopy([{"function_call": {"name": "f"}}, *deltas, ends]):
                choice = {"index": 0, "delta": delta, "finish_reason": None}
                list(reader.feed("message", {"choices": [choice]}))
            list(reader.feed("message", copy.deepcopy(END)))
