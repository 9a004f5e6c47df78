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
