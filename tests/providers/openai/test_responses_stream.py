"""The stream of the Responses API, as it really comes."""

from __future__ import annotations

from typing import Any

from providers.assembly import CompletionBuilder
from providers.chat import Chat
from providers.completion import Completion, CompletionRequest
from providers.openai.responses_stream import ResponsesStream

REQUEST = CompletionRequest("m", Chat.of_prompt("Q"))
PATCH = '*** Begin Patch\n*** Add File: "é🎉.txt"\n'
ITEM = {"type": "custom_tool_call", "id": "i", "call_id": "c", "name": "apply_patch", "input": ""}
STARTED = {"type": "response.created", "response": {"id": "r", "status": "in_progress"}}
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": ITEM}


def inputs(*texts: str) -> list[dict[str, Any]]:
    kind = "response.custom_tool_call_input.delta"
    return [{"type": kind, "output_index": 0, "item_id": "i", "delta": text} for text in texts]


def read(*messages: dict[str, Any]) -> Completion:
    reader, builder = ResponsesStream("p"), CompletionBuilder("p", REQUEST)
    for message in messages:
        for event in reader.feed("", message):
            builder.add(event)
    return builder.completion()


def test_the_text_of_a_custom_tool_counts_before_it_is_complete() -> None:
    # A client that leaves in the middle of a patch is charged for what was written of it.
    empty, half = read(STARTED, ADDED), read(STARTED, ADDED, *inputs(PATCH, "x" * 400))
    assert half.usage.output_tokens > empty.usage.output_tokens + 50


def test_the_text_of_a_custom_tool_is_told_once() -> None:
    done = {**ITEM, "input": PATCH}
    end = {"id": "r", "status": "completed", "output": [done]}
    whole = read(
        STARTED,
        ADDED,
        *inputs(PATCH[:7], PATCH[7:]),
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": end},
    )
    (call,) = whole.choices[0].tool_calls
    assert (call.name, call.input, call.freeform) == ("apply_patch", {"input": PATCH}, True)
