"""A call without a result gets one that says so, on every wire, in a body that stays as it came."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from providers.open_calls import (
    with_outputs,
    with_responses,
    with_result_blocks,
    with_tool_messages,
)
from providers.tool_results import NO_RESULT

Turns = list[Any]


def chat_call(*ids: str) -> dict[str, Any]:
    calls = [{"id": i, "type": "function", "function": {"name": "f"}} for i in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def chat_result(call: str, content: str = "R") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": content}


def block_call(*ids: str) -> dict[str, Any]:
    blocks = [{"type": "tool_use", "id": i, "name": "f", "input": {}} for i in ids]
    return {"role": "assistant", "content": blocks}


def block(call: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": "R"}


def missing_block(call: str) -> dict[str, Any]:
    return {**block(call), "content": NO_RESULT, "is_error": True}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def item(kind: str, call: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "call_id": call, **fields}


def function(kind: str, name: str, call: str = "", **fields: Any) -> dict[str, Any]:
    return {kind: {**({"id": call} if call else {}), "name": name, **fields}}


def content(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def missing(name: str, call: str = "") -> dict[str, Any]:
    return function("functionResponse", name, call, response={"error": NO_RESULT})


TEXT = {"type": "text", "text": "Stop."}
F, G = function("functionCall", "f"), function("functionCall", "g")
GIVEN = function("functionResponse", "f", response={"a": 1})
CASES: list[tuple[Callable[[Turns], Turns], Turns, Turns]] = [
    (with_tool_messages, [user("Q"), chat_call("a", "b"), chat_result("b")],
     [user("Q"), chat_call("a", "b"), chat_result("b"), chat_result("a", NO_RESULT)]),
    (with_tool_messages, [chat_call("a"), user("Stop.")],
     [chat_call("a"), chat_result("a", NO_RESULT), user("Stop.")]),
    (with_tool_messages, [chat_call("a"), chat_call("b")],
     [chat_call("a"), chat_result("a", NO_RESULT), chat_call("b"), chat_result("b", NO_RESULT)]),
    (with_result_blocks, [user("Q"), block_call("a", "b"), user([block("b"), TEXT])],
     [user("Q"), block_call("a", "b"), user([missing_block("a"), block("b"), TEXT])]),
    (with_result_blocks, [block_call("a"), user("Stop.")],
     [block_call("a"), user([missing_block("a"), TEXT])]),
    (with_result_blocks, [block_call("a")], [block_call("a"), user([missing_block("a")])]),
    (with_outputs, [item("function_call", "a"), item("custom_tool_call", "b"), user("Stop.")],
     [item("function_call", "a"), item("custom_tool_call", "b"),
      item("function_call_output", "a", output=NO_RESULT),
      item("custom_tool_call_output", "b", output=NO_RESULT), user("Stop.")]),
    (with_outputs, [item("function_call", "a")],
     [item("function_call", "a"), item("function_call_output", "a", output=NO_RESULT)]),
    (with_responses, [content("model", F, G), content("user", GIVEN)],
     [content("model", F, G), content("user", missing("g"), GIVEN)]),
    (with_responses, [content("model", F, F), content("user", GIVEN, {"text": "x"})],
     [content("model", F, F), content("user", missing("f"), GIVEN, {"text": "x"})]),
    (with_responses, [content("model", function("functionCall", "f", "1"))],
     [content("model", function("functionCall", "f", "1")), content("user", missing("f", "1"))]),
]  # fmt: skip
WHOLE: list[tuple[Callable[[Turns], Turns], Turns]] = [
    (with_tool_messages, [chat_call("a", "b"), chat_result("b"), chat_result("a"), user("Q")]),
    (with_result_blocks, [block_call("a"), user([block("a"), TEXT])]),
    (with_outputs, [item("function_call", "a"), user("Q"), item("function_call_output", "a")]),
    (with_outputs, [item("function_call_output", "of an earlier response"), "odd", None]),
    (with_responses, [content("model", F), content("user", GIVEN)]),
    (with_responses, [content("model", {"function_call": {"name": "f"}}),
                      content("function", {"function_response": {"name": "f"}})]),
    (with_tool_messages, ["odd", None, {"role": "assistant", "tool_calls": "odd"}]),
    (with_result_blocks, ["odd", {"role": "assistant", "content": "A"}]),
    (with_responses, ["odd", {"parts": "odd"}]),
]  # fmt: skip


@pytest.mark.parametrize(("mend", "turns", "expected"), CASES)
def test_a_call_without_a_result_gets_one(
    mend: Callable[[Turns], Turns], turns: Turns, expected: Turns
) -> None:
    before = copy.deepcopy(turns)
    assert mend(turns) == expected
    assert turns == before
    assert mend(expected) is expected


@pytest.mark.parametrize(("mend", "turns"), WHOLE)
def test_turns_that_lack_nothing_stay_as_they_are(
    mend: Callable[[Turns], Turns], turns: Turns
) -> None:
    assert mend(turns) is turns
