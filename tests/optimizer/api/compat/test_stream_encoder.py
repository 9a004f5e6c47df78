"""What is told on a wire is what a client of that wire reads, however events are interleaved."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from optimizer.api.anthropic.reasoning import Author
from optimizer.api.anthropic.stream import MessageStreamEncoder
from optimizer.api.compat.stream_encoder import StreamEncoder
from optimizer.api.openai.chat_stream import ChatStreamEncoder
from optimizer.api.openai.responses.answer import ResponseFrame
from optimizer.api.openai.responses.stream import ResponseStreamEncoder
from optimizer.domain.reasoning_seals import unseal, unseal_call
from optimizer.domain.result import CompletionResult
from providers.anthropic.stream import AnthropicStream
from providers.assembly import CompletionBuilder
from providers.chat import Chat, Thinking, ToolCall
from providers.completion import Choice, Completion, CompletionRequest, Usage
from providers.events import (
    Event,
    Finished,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
    UsageReported,
)
from providers.openai.stream import OpenAIStream
from routing.models import RoutingDecision

REQUEST = CompletionRequest("m", Chat.of_prompt("Hello"))
ID = uuid.UUID(int=7)
EVENT = TypeAdapter(ResponseStreamEvent)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Thoughts, text and tool calls, whose arguments may arrive in any order of calls."""
    events: list[Event] = [Started("up-1")]
    events += [ThinkingDelta(t) for t in draw(st.lists(texts.filter(bool), max_size=2))]
    events += [TextDelta(t) for t in draw(st.lists(texts.filter(bool), max_size=3))]
    pieces: list[list[Event]] = []
    for index in range(draw(st.integers(0, 3))):
        arguments = json.dumps({"q": draw(texts)}, ensure_ascii=draw(st.booleans()))
        cut = draw(st.integers(0, len(arguments)))
        calls = [ToolArguments(index, part) for part in (arguments[:cut], arguments[cut:]) if part]
        pieces.append([ToolCallStarted(index, f"call_{index}", "f"), *calls])
    while pieces:
        pick = draw(st.integers(0, len(pieces) - 1))
        # Calls begin in the order of their numbers.
        if isinstance(pieces[pick][0], ToolCallStarted):
            pick = next(i for i, p in enumerate(pieces) if isinstance(p[0], ToolCallStarted))
        events.append(pieces[pick].pop(0))
        pieces = [p for p in pieces if p]
    calls = any(isinstance(e, ToolCallStarted) for e in events)
    return [*events, Finished("tool_calls" if calls else "stop"), UsageReported(Usage(11, 7))]


def collected(events: Iterable[Event]) -> Completion:
    collector = CompletionBuilder("p", REQUEST)
    for event in events:
        collector.add(event)
    return collector.completion()


def result_of(completion: Completion) -> CompletionResult:
    decision = RoutingDecision("p", "m", "high", "named", "The request named it.")
    cost = Decimal("0.0000000001")
    return CompletionResult(ID, completion, decision, 0.1, 2, cost, cost, False, None, cost, cost)


def told(encoder: StreamEncoder, events: list[Event]) -> list[dict[str, Any]]:
    raw = [m for event in events for m in encoder.encode(event)]
    raw += encoder.finish(result_of(collected(events)))
    lines = [line for m in raw for line in m.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]


def read(reader: Any, messages: list[dict[str, Any]]) -> Completion:
    return collected(event for m in messages for event in reader.feed("", m))


@given(streams())
def test_openai_s_chunks(events: list[Event]) -> None:
    messages = told(ChatStreamEncoder(ID, "m", with_usage=True), events)
    heard = read(OpenAIStream("p"), messages)
    meant = collected(events)
    assert [without_seals(c) for c in heard.choices] == list(meant.choices)
    assert heard.usage == meant.usage


def test_a_call_without_arguments_ends_with_empty_ones() -> None:
    events: list[Event] = [ToolCallStarted(0, "c", "now"), Finished("tool_calls")]
    messages = told(ChatStreamEncoder(ID, "m", with_usage=False), events)
    calls = [c for m in messages for c in m["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(c["function"]["arguments"] for c in calls) == "{}"


def test_a_freeform_call_is_a_custom_one() -> None:
    call = ToolCallStarted(0, "c", "patch", freeform=True)
    pieces = [ToolArguments(0, '{"input": "a'), ToolArguments(0, 'b"}')]
    messages = told(
        ChatStreamEncoder(ID, "m", with_usage=False), [call, *pieces, Finished("tool_calls")]
    )
    (written,) = [c for m in messages for c in m["choices"][0]["delta"].get("tool_calls", ())]
    assert written["custom"] == {"name": "patch", "input": "ab"}
    (part,) = read(OpenAIStream("p"), messages).choices[0].parts
    assert part == ToolCall("c", "patch", '{"input": "ab"}', freeform=True)


def without_seals(choice: Choice) -> Choice:
    """The choice without the details of its reasoning, which hold our seal for this API."""
    parts = (replace(p, details=None) if isinstance(p, Thinking) else p for p in choice.parts)
    return replace(choice, parts=tuple(parts))


@given(streams())
def test_anthropic_s_blocks(events: list[Event]) -> None:
    messages = told(MessageStreamEncoder(ID, "m", lambda: Author("p", "m"), input_tokens=3), events)
    reader = AnthropicStream("p")
    heard = read(reader, messages)
    meant = collected(events)
    assert reader.complete
    assert heard.text == meant.text
    assert heard.choices[0].tool_calls == meant.choices[0].tool_calls
    assert heard.finish_reason == meant.finish_reason
    assert (heard.usage.input_tokens, heard.usage.output_tokens) == (11, 7)
    assert_blocks_are_closed(messages)


def assert_blocks_are_closed(messages: list[dict[str, Any]]) -> None:
    open_block, begun = None, -1
    for message in messages:
        if message["type"] == "content_block_start":
            assert open_block is None
            assert message["index"] == begun + 1
            open_block = begun = message["index"]
        elif message["type"] == "content_block_delta":
            assert message["index"] == open_block
        elif message["type"] == "content_block_stop":
            assert message["index"] == open_block
            open_block = None
    assert open_block is None
    assert messages[0]["type"] == "message_start"
    assert [m["type"] for m in messages[-2:]] == ["message_delta", "message_stop"]


@given(streams())
def test_responses_events(events: list[Event]) -> None:
    frame = ResponseFrame(ID, {"model": "m"})
    messages = told(ResponseStreamEncoder(frame, "m"), events)
    for message in messages:
        EVENT.validate_python(message)
    assert [m["sequence_number"] for m in messages] == list(range(len(messages)))
    meant = collected(events)
    output = messages[-1]["response"]["output"]
    said = "".join(i["content"][0]["text"] for i in output if i["type"] == "message")
    assert said == meant.text
    calls = [(i["call_id"], i["arguments"]) for i in output if i["type"] == "function_call"]
    assert calls == [(c.id, c.arguments or "{}") for c in meant.choices[0].tool_calls]
    for item in output:
        deltas = [m["delta"] for m in messages if m.get("item_id") == item["id"] and "delta" in m]
        if item["type"] == "function_call":
            whole = item["arguments"]
        elif item["type"] == "reasoning":
            whole = "".join(part["text"] for part in item["summary"])
        else:
            whole = item["content"][0]["text"]
        assert "".join(deltas) == whole
    # Whole, the answer has the same items.
    kinds = [i["type"] for i in frame.whole(result_of(meant))["output"]]
    assert sorted(kinds) == sorted(i["type"] for i in output)


@pytest.mark.parametrize("wire", ["chat", "messages", "responses"])
def test_a_stream_without_a_word_still_ends_properly(wire: str) -> None:
    encoder: StreamEncoder = {
        "chat": ChatStreamEncoder(ID, "m", with_usage=False),
        "messages": MessageStreamEncoder(ID, "m", lambda: Author("p", "m"), input_tokens=3),
        "responses": ResponseStreamEncoder(ResponseFrame(ID, {}), "m"),
    }[wire]
    messages = told(encoder, [Started(), Finished("stop")])
    if wire == "chat":
        assert [m["choices"][0]["finish_reason"] for m in messages] == ["stop"]
    elif wire == "messages":
        assert_blocks_are_closed(messages)
    else:
        assert messages[-1]["response"]["status"] == "completed"


def test_the_signature_of_a_call_and_later_reasoning_are_items_of_their_own() -> None:
    events: list[Event] = [
        ToolCallStarted(0, "call_1", "f", "signed"),
        ToolArguments(0, "{}"),
        ThinkingDelta("Hm."),
        Finished("tool_calls"),
    ]
    output = told(ResponseStreamEncoder(ResponseFrame(ID, {}), "m"), events)[-1]["response"][
        "output"
    ]
    assert [item["type"] for item in output] == ["reasoning", "function_call", "reasoning"]
    assert unseal_call(output[0]["encrypted_content"])[0] == "signed"
    assert unseal(output[2]["encrypted_content"]).text == "Hm."


def test_the_seal_of_a_response_holds_the_details_of_all_pieces() -> None:
    events: list[Event] = [
        Started("up"),
        ThinkingDelta("H", details=[{"type": "reasoning.text", "text": "H"}]),
        ThinkingDelta("m", details=[{"type": "reasoning.text", "text": "m"}]),
        Finished("stop"),
    ]
    output = told(ResponseStreamEncoder(ResponseFrame(ID, {}), "m"), events)[-1]["response"][
        "output"
    ]
    thinking = unseal(output[0]["encrypted_content"])
    assert thinking is not None
    assert [detail["text"] for detail in thinking.details] == ["H", "m"]
