"""Answers of Anthropic's wire, as its servers really send them."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.anthropic.answer import MessageCallNames, mend_message, read_message
from providers.anthropic.request import anthropic_payload
from providers.anthropic.stream import AnthropicStream
from providers.assembly import CompletionBuilder, completion_events
from providers.chat import Chat, Text, Thinking, Tool, ToolCall
from providers.completion import Completion, CompletionRequest, Opaque
from providers.errors import ProviderError
from providers.http.wire import SHAPE_ERRORS
from tests.fakes.streams import anthropic_stream

REQUEST = CompletionRequest("m", Chat.of_prompt("Q"))
MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 7},
}  # fmt: skip


def read(body: dict[str, Any], names: MessageCallNames | None = None) -> Completion:
    return read_message("p", REQUEST, body, names or MessageCallNames())


def streamed(messages: list[Any]) -> Completion:
    reader, builder = AnthropicStream("p"), CompletionBuilder("p", REQUEST)
    for message in messages:
        try:
            for event in reader.feed("", message):
                builder.add(event)
        except SHAPE_ERRORS:
            continue  # the client leaves such a message out
    return builder.completion()


def data_of(chunks: list[bytes]) -> list[dict[str, Any]]:
    lines = [line for chunk in chunks for line in chunk.decode().split("\n")]
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def test_content_of_other_shapes_is_read() -> None:
    assert read({"content": "Hi"}).text == "Hi"
    assert read({"content": [{"text": "Hi"}, "there", None, {"type": "text"}]}).text == "Hithere"
    call = {"type": "tool_use", "name": "f", "input": '{"a": 1}'}
    found = read({"content": [call], "stop_reason": "end_turn"})
    assert found.choices[0].tool_calls == (ToolCall("toolu_0", "f", '{"a": 1}'),)
    assert found.finish_reason == "tool_calls"
    assert read({"content": "Hi", "stop_reason": "tool_use"}).finish_reason == "stop"


def test_what_breaks_every_client_is_mended_and_nothing_else() -> None:
    body = copy.deepcopy(MESSAGE)
    assert not mend_message(body)
    assert body == MESSAGE
    body["stop_reason"], body["content"][2]["input"] = "end_turn", None
    assert mend_message(body)
    assert (body["stop_reason"], body["content"][2]["input"]) == ("tool_use", {})


def test_a_streamed_call_without_arguments_has_json_arguments() -> None:
    start = {"type": "tool_use", "id": "t", "name": "now", "input": {}}
    found = streamed(
        [
            {"type": "message_start", "message": {"id": "m"}},
            {"type": "content_block_start", "content_block": start},
            {"type": "content_block_stop"},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        ]
    )
    assert found.choices[0].tool_calls == (ToolCall("t", "now", "{}"),)
    assert found.finish_reason == "tool_calls"


def test_adjacent_blocks_stay_apart_and_citations_stay_with_their_text() -> None:
    def block(index: int, *deltas: dict[str, Any], kind: str = "text") -> list[dict[str, Any]]:
        start = {"type": "content_block_start", "index": index, "content_block": {"type": kind}}
        return [
            start,
            *({"type": "content_block_delta", "index": index, "delta": d} for d in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    def thought(text: str, signature: str) -> list[dict[str, Any]]:
        return [
            {"type": "thinking_delta", "thinking": text},
            {"type": "signature_delta", "signature": signature},
        ]

    citation = {"type": "char_location", "cited_text": "x"}
    found = streamed(
        [
            *block(0, *thought("a", "1"), kind="thinking"),
            *block(1, *thought("b", "2"), kind="thinking"),
            *block(2, {"type": "text_delta", "text": "One."}),
            *block(3, {"type": "text_delta", "text": "Two."},
                   {"type": "citations_delta", "citation": citation}),
        ]
    )  # fmt: skip
    cited = {"type": "text", "text": "Two.", "citations": [citation]}
    parts = (
        Thinking("a", "1"),
        Thinking("b", "2"),
        Text("One."),
        Opaque("anthropic", cited, "Two."),
    )
    assert found.choices[0].parts == parts
    again = CompletionBuilder("p", REQUEST)
    for event in completion_events(found):
        again.add(event)
    assert [type(p) for p in again.completion().choices[0].parts] == [type(p) for p in parts]


def test_freeform_and_renamed_tools_come_back_as_the_client_knows_them() -> None:
    name = "tools/exec.py"
    chat = Chat.of_prompt("Q")
    asked = CompletionRequest("m", Chat(chat.messages, tools=(Tool(name, freeform=True),)))
    names = MessageCallNames(asked)

    sent = anthropic_payload(asked)["tools"][0]
    assert sent["input_schema"]["required"] == ["input"]
    call = {"type": "tool_use", "id": "t", "name": sent["name"], "input": {"input": "ls"}}
    found = read({"content": [call], "stop_reason": "tool_use"}, names)
    assert found.choices[0].tool_calls == (ToolCall("t", name, '{"input": "ls"}', freeform=True),)


JUNK = st.sampled_from([None, "", "x", 0, -1, 1.5, True, [], {}, ["x"], {"text": "x"}])


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        place = value
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if isinstance(place, dict) and draw(st.booleans()):
                del place[key]
            else:
                place[key] = copy.deepcopy(draw(JUNK))
            break
    return value


@given(mutated(MESSAGE))
def test_no_answer_raises_anything_but_a_provider_s_error(body: Any) -> None:
    with suppress(ProviderError):
        mend_message(body)
        assert read(body).choices


@given(mutated(data_of(anthropic_stream(MESSAGE))))
def test_no_stream_raises_anything_but_a_provider_s_error(messages: list[Any]) -> None:
    with suppress(ProviderError):
        streamed([m for m in messages if isinstance(m, dict)])


@pytest.mark.parametrize(
    ("reason", "said", "called"),
    [
        ("stop", "end_turn", "tool_use"),
        ("stop_sequence", "stop_sequence", "tool_use"),
        ("tool_calls", "end_turn", "tool_use"),
        ("tool_use", "end_turn", "tool_use"),
        ("length", "max_tokens", "max_tokens"),
        ("content_filter", "refusal", "refusal"),
        ("pause_turn", "pause_turn", "pause_turn"),
    ],
)
def test_an_ending_is_said_in_this_api_s_words(reason: str, said: str, called: str) -> None:
    text, call = {"type": "text", "text": "Hi"}, {"type": "tool_use", "id": "t", "name": "f"}
    for block, expected in ((text, said), (call, called)):
        body = {**MESSAGE, "content": [dict(block)], "stop_reason": reason}
        mend_message(body)
        assert body["stop_reason"] == expected
        end = {"type": "message_delta", "delta": {"stop_reason": reason}}
        start = {"type": "content_block_start", "index": 0, "content_block": {**block, "input": {}}}
        streamed([start, {"type": "content_block_stop", "index": 0}, end])
        assert end["delta"] == {"stop_reason": expected}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"type": "text", "text": "Hi"}, "Hi"),
        ([{"text": "Hi"}], "Hi"),
        (["H", {"type": "text", "text": [{"text": "i"}]}], "Hi"),
        ([{"type": "text", "text": {"value": "Hi"}}], "Hi"),
        ([{"type": "thinking", "thinking": None, "signature": "S"}, {"text": "Hi"}, None], "Hi"),
    ],
)
def test_blocks_of_other_shapes_become_those_of_the_api(content: Any, text: str) -> None:
    body = {**MESSAGE, "content": content, "stop_reason": "end_turn"}
    assert mend_message(body)
    texts = [block["text"] for block in body["content"] if block["type"] == "text"]
    assert "".join(texts) == text
    assert all(isinstance(b["thinking"], str) for b in body["content"] if b["type"] == "thinking")
    assert read(body).text == text
    assert not mend_message(body)


def test_a_delta_without_a_type_is_what_its_field_says() -> None:
    delta: dict[str, Any] = {"text": "Hi"}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    completion = streamed([start, {"type": "content_block_delta", "index": 0, "delta": delta}])
    assert completion.text == "Hi"
    assert delta["type"] == "text_delta"


@pytest.mark.parametrize("reason", ["error", "malformed_tool_use", "malformed_model_output"])
def test_an_answer_that_ends_in_an_error_has_failed_and_is_charged(reason: str) -> None:
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    text = {"type": "text", "text": "Half an ans"}
    used = {"usage": {"input_tokens": 10, "output_tokens": 5}}
    with pytest.raises(ProviderError) as whole:
        read({**MESSAGE, **used, "content": [text], "stop_reason": reason})
    start = {"type": "content_block_start", "index": 0, "content_block": text}
    end = {"type": "message_delta", "delta": {"stop_reason": reason}}
    with pytest.raises(ProviderError) as beside:
        streamed([start, {**end, **used}])
    with pytest.raises(ProviderError) as later:
        streamed([start, end, {"type": "message_stop", **used}])
    for caught in (whole, beside, later):
        assert caught.value.usage is not None
        assert (caught.value.usage.input_tokens, caught.value.usage.output_tokens) == (10, 5)
        assert caught.value.maybe_charged


@pytest.mark.parametrize("delta", [{}, {"stop_reason": None}, {"stop_reason": ""}])
def test_calls_end_a_message_whose_reason_is_missing(delta: dict[str, Any]) -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    body = {**MESSAGE, "content": [dict(call)], "stop_reason": delta.get("stop_reason")}
    assert mend_message(body)
    assert body["stop_reason"] == "tool_use"
    start = {"type": "content_block_start", "index": 0, "content_block": dict(call)}
    stop = {"type": "content_block_stop", "index": 0}
    end = {"type": "message_delta", "delta": dict(delta), "usage": {"output_tokens": 5}}
    assert streamed([start, stop, end]).finish_reason == "tool_calls"
    assert end["delta"] == {"stop_reason": "tool_use"}
    # A report in the midst of a call says nothing of its end.
    early = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}}
    streamed([start, early, stop, {**end, "delta": {"stop_reason": "tool_use"}}])
    assert early["delta"] == {}


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [([], '{"a": 1}'), ([""], '{"a": 1}'), (['{"a"', ':1,"b":2}'], '{"a":1,"b":2}')],
)
def test_arguments_that_follow_replace_those_at_the_start(
    pieces: list[str], arguments: str
) -> None:
    # As Anthropic's SDK does, which sets the input to what the deltas hold:
    # https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/lib/streaming/_messages.py
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    completion = streamed(
        [
            {"type": "content_block_start", "index": 0, "content_block": call},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        ]
    )
    assert completion.choices[0].tool_calls == (ToolCall("t", "f", arguments),)
