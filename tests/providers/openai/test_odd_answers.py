"""Odd answers of OpenAI-like servers are read, and mended where every client would fail."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.assembly import CompletionBuilder
from providers.chat import Chat, Text, Thinking, Tool
from providers.completion import Completion, CompletionRequest
from providers.errors import (
    AnswerFailed,
    EmptyCompletion,
    MalformedResponse,
    ProviderError,
)
from providers.events import Finished, TextDelta, UsageReported
from providers.http.wire import SHAPE_ERRORS
from providers.openai.answer import read_completion
from providers.openai.repair import repair_completion
from providers.openai.stream import OpenAIStream

REQUEST = CompletionRequest("m", Chat.of_prompt("Hello"))
NAMED = CompletionRequest("m", replace(REQUEST.chat, chosen=False))
CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
# https://docs.mistral.ai/capabilities/reasoning/
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "A greeting."}]}


def answer(message: Any, finish: Any = "stop") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }


def read(body: dict[str, Any], request: CompletionRequest = REQUEST) -> Completion:
    repair_completion(body)
    return read_completion("p", request, body)


def chunk(delta: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


def streamed(
    *chunks: dict[str, Any], request: CompletionRequest = REQUEST
) -> tuple[Completion, list[bool]]:
    reader, builder, repaired = OpenAIStream("p", request), CompletionBuilder("p", request), []
    for data in (*chunks, None):
        for event in reader.feed("message", data):
            builder.add(event)
        repaired.append(reader.repaired)
    assert reader.complete
    return builder.completion(), repaired[:-1]


def test_an_ordinary_answer_is_not_touched() -> None:
    for message in ({"role": "assistant", "content": "Hi"}, {"role": "assistant", "content": None,
                    "tool_calls": [CALL]}):  # fmt: skip
        body = answer(message, "tool_calls" if message["content"] is None else "stop")
        before = copy.deepcopy(body)
        assert not repair_completion(body)
        assert body == before


def test_content_as_a_list_becomes_text_with_the_reasoning_beside_it() -> None:
    body = answer({"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "Hello!"}]})
    completion = read(body)
    message = body["choices"][0]["message"]
    assert message["content"] == "Hello!"
    assert message["reasoning_content"] == "A greeting."
    assert completion.choices[0].parts == (Thinking("A greeting."), Text("Hello!"))


@pytest.mark.parametrize(
    ("content", "text"), [(5, "5"), (["a", "b"], "ab"), ({"type": "text", "text": "a"}, "a")]
)
def test_content_of_other_types_is_text(content: Any, text: str) -> None:
    assert read(answer({"content": content})).text == text
    completion, repaired = streamed(chunk({"content": content}), chunk({}, "stop"), request=NAMED)
    assert completion.text == text
    assert repaired == [True, False]


@pytest.mark.parametrize("content", [5, ["a", "b"], {"type": "text", "text": "a"}])
def test_a_stream_that_begins_with_it_is_left_to_another_model(content: Any) -> None:
    with pytest.raises(MalformedResponse):
        streamed(chunk({"content": content}), chunk({}, "stop"))
    completion, _ = streamed(chunk({"content": "Once "}), chunk({"content": content}, "stop"))
    assert completion.text.startswith("Once ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [("", "{}"), (None, "{}"), ({}, "{}"), ({"a": 1}, '{"a": 1}'), ('{"a": 1}', '{"a": 1}')],
)
def test_arguments_are_always_json_text(arguments: Any, text: str) -> None:
    call = {**CALL, "function": {"name": "now", "arguments": arguments}}
    body = answer({"content": None, "tool_calls": [copy.deepcopy(call)]}, "tool_calls")
    assert read(body).choices[0].tool_calls[0].arguments == text
    assert body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == text
    last = chunk({}, "tool_calls")
    chunks = (chunk({"tool_calls": [{"index": 0, **call}]}), last)
    completion, _ = streamed(*chunks)
    assert completion.choices[0].tool_calls[0].arguments == text
    pieces = [c["choices"][0]["delta"].get("tool_calls") or [] for c in chunks]
    assert "".join(p["function"]["arguments"] or "" for ps in pieces for p in ps) == text


def test_a_call_ends_with_tool_calls_and_other_answers_do_not() -> None:
    body = answer({"content": None, "tool_calls": [CALL]}, "stop")
    assert read(body).finish_reason == "tool_calls"
    assert body["choices"][0]["finish_reason"] == "tool_calls"
    assert read(answer({"content": "Hi"}, "tool_calls")).finish_reason == "stop"
    last = chunk({}, "stop")
    completion, repaired = streamed(chunk({"tool_calls": [{"index": 0, **CALL}]}), last)
    assert completion.finish_reason == last["choices"][0]["finish_reason"] == "tool_calls"
    assert repaired == [False, True]


def test_calls_without_ids_or_with_one_number_stay_apart() -> None:
    first = {"index": 0, "function": {"name": "a", "arguments": "{}"}}
    second = {"index": 0, "id": "2", "function": {"name": "b", "arguments": "{}"}}
    given = chunk({"tool_calls": [{**first, "id": "1"}, second]})
    completion, _ = streamed(given, chunk({}, "tool_calls"))
    assert [call.name for call in completion.choices[0].tool_calls] == ["a", "b"]
    assert [c["index"] for c in given["choices"][0]["delta"]["tool_calls"]] == [0, 1]
    body = answer({"content": None, "tool_calls": [first]})
    assert read(body).choices[0].tool_calls[0].id.startswith("call_")


def test_reasoning_details_are_kept() -> None:
    details = [{"type": "reasoning.encrypted", "data": "c2VhbGVk", "index": 0}]
    message = {"content": "Hi", "reasoning": "Hm.", "reasoning_details": details}
    thought = Thinking("Hm.", details=details)
    assert read(answer(message)).choices[0].parts[0] == thought
    completion, repaired = streamed(chunk(message), chunk({}, "stop"))
    assert completion.choices[0].parts[0] == thought
    assert repaired == [False, False]


def test_an_empty_answer_of_a_chosen_model_is_an_error_that_is_charged() -> None:
    with pytest.raises(EmptyCompletion) as caught:
        read(answer({"content": ""}))
    assert caught.value.usage is not None
    assert caught.value.usage.input_tokens == 10
    with pytest.raises(EmptyCompletion):
        streamed(chunk({"role": "assistant", "content": ""}), chunk({}, "stop"))
    named = replace(REQUEST, chat=replace(REQUEST.chat, chosen=False))
    assert read(answer({"content": ""}), named).text == ""
    assert read(answer({"content": ""}, "length")).finish_reason == "length"


def test_names_and_freeform_tools_are_restored_for_another_wire() -> None:
    long, patch = "a" * 100, Tool("patch", freeform=True)
    request = replace(REQUEST, chat=replace(REQUEST.chat, tools=(Tool(long), patch)))
    from providers.openai.request import openai_payload

    sent = openai_payload(request)["tools"]
    outer = sent[0]["function"]["name"]
    assert len(outer) == 64
    assert sent[1]["function"]["parameters"]["required"] == ["input"]
    calls = [
        {"id": "1", "function": {"name": outer, "arguments": "{}"}},
        {"id": "2", "function": {"name": "patch", "arguments": '{"input": "x"}'}},
    ]
    found = read(answer({"content": None, "tool_calls": calls}), request).choices[0].tool_calls
    assert [(call.name, call.freeform) for call in found] == [(long, False), ("patch", True)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "name", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
WHOLE = answer(
    {"role": "assistant", "content": [THOUGHT], "reasoning": "r", "tool_calls": [CALL],
     "reasoning_details": [{"type": "reasoning.text", "text": "r"}], "refusal": None,
     "function_call": {"name": "f", "arguments": ""}}
)  # fmt: skip
CHUNKS = [
    chunk({"role": "assistant", "content": [THOUGHT]}),
    chunk({"content": "Hi"}, logprobs={"content": []}),
    chunk({"tool_calls": [{"index": 0, **CALL}]}),
    chunk({"function_call": {"name": "f", "arguments": "{}"}}),
    chunk({}, "stop"),
    {"id": "x", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inner = [
        place
        for key, item in items
        if isinstance(item, (dict, list))
        for place in places(item, (*path, key))
    ]
    keys = value if isinstance(value, dict) else range(len(value))
    return [(*path, key) for key in keys] + inner


def spoilt(value: Any, data: st.DataObject) -> Any:
    changed = json.loads(json.dumps(value))
    *parents, last = data.draw(st.sampled_from(places(changed)))
    if "usage" in parents or last == "usage":
        return changed
    for key in parents:
        value = value[key]
    target = changed
    for key in parents:
        target = target[key]
    target[last] = data.draw(JSON)
    return changed


@given(st.data())
def test_a_whole_answer_spoilt_anywhere_is_read_or_is_the_provider_s_error(
    data: st.DataObject,
) -> None:
    try:
        completion = read(spoilt(WHOLE, data))
    except (ProviderError, *SHAPE_ERRORS):
        return
    for choice in completion.choices:
        assert isinstance(choice.text, str)
        assert all(isinstance(call.arguments, str) for call in choice.tool_calls)


@given(st.data())
def test_a_stream_spoilt_anywhere_raises_nothing_but_the_provider_s_errors(
    data: st.DataObject,
) -> None:
    reader, builder = OpenAIStream("p", REQUEST), CompletionBuilder("p", REQUEST)
    for event in (e for c in spoilt(CHUNKS, data) if isinstance(c, dict) for e in fed(reader, c)):
        builder.add(event)
    assert isinstance(builder.completion().text, str)


def fed(reader: OpenAIStream, data: dict[str, Any]) -> list[Any]:
    """The events of one message; what the wire's client does with one that has no known shape."""
    events: list[Any] = []
    try:
        events.extend(reader.feed("message", data))
    except (ProviderError, *SHAPE_ERRORS):
        pass
    return events


@pytest.mark.parametrize("arguments", ["", " ", "null", None, {}])
def test_a_call_without_arguments_has_empty_ones(arguments: Any) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "now", "arguments": arguments}}
    body = answer({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")
    assert read(copy.deepcopy(body)).choices[0].tool_calls[0].arguments == "{}"
    piece = {"tool_calls": [{"index": 0, **copy.deepcopy(call)}]}
    completion, _ = streamed(chunk(piece), chunk({}, "tool_calls"))
    assert completion.choices[0].tool_calls[0].arguments == "{}"
    assert piece["tool_calls"][0]["function"]["arguments"] in ("", None)


@pytest.mark.parametrize(
    ("reason", "said", "called"),
    [
        ("eos", "stop", "tool_calls"),
        ("STOP", "stop", "tool_calls"),
        ("end_turn", "stop", "tool_calls"),
        ("COMPLETE", "stop", "tool_calls"),
        ("tool_use", "stop", "tool_calls"),
        ("function_call", "stop", "tool_calls"),
        ("", "stop", "tool_calls"),
        ("max_tokens", "length", "length"),
        ("MAX_TOKENS", "length", "length"),
        ("sensitive", "content_filter", "content_filter"),
        ("some_new_word", "some_new_word", "tool_calls"),
    ],
)
def test_an_ending_is_said_in_this_api_s_words(reason: str, said: str, called: str) -> None:
    body = answer({"role": "assistant", "content": "Hi"}, reason)
    repair_completion(body)
    assert body["choices"][0]["finish_reason"] == said
    body = answer({"role": "assistant", "content": None, "tool_calls": [CALL]}, reason)
    repair_completion(body)
    assert body["choices"][0]["finish_reason"] == called
    if reason:
        end = chunk({}, reason)
        streamed(chunk({"tool_calls": [{"index": 0, **CALL}]}), end)
        assert end["choices"][0]["finish_reason"] == called


def test_an_ending_that_is_empty_is_none_yet() -> None:
    early = chunk({"content": "Hi"}, "")
    streamed(early, chunk({}, "stop"))
    assert early["choices"][0]["finish_reason"] is None


def test_calls_with_one_id_are_two_calls() -> None:
    other = {**CALL, "function": {"name": "f", "arguments": '{"i": 1}'}}
    calls = [copy.deepcopy(CALL), copy.deepcopy(other)]
    completion = read(answer({"role": "assistant", "content": None, "tool_calls": calls}))
    first, second = completion.choices[0].tool_calls
    assert first.id != second.id
    begun = {**other, "function": {"name": "f", "arguments": '{"i"'}}
    more = {"index": 1, "id": "call_1", "function": {"arguments": ": 1}"}}
    completion, _ = streamed(
        chunk({"tool_calls": [{"index": 0, **copy.deepcopy(CALL)}]}),
        chunk({"tool_calls": [{"index": 1, **begun}]}),
        chunk({"tool_calls": [more]}),
        chunk({}, "tool_calls"),
    )
    first, second = completion.choices[0].tool_calls
    assert (first.name, first.arguments) == ("now", "{}")
    assert (second.name, second.arguments) == ("f", '{"i": 1}')
    assert first.id != second.id


def test_choices_that_are_null_are_none() -> None:
    nothing = {"id": "x", "choices": None}
    _, repaired = streamed(chunk({"content": "Hi"}), nothing, chunk({}, "stop"))
    assert nothing["choices"] == []
    assert repaired == [False, True, False]


FAILED_ENDINGS = [
    # https://openrouter.ai/docs/api/reference/errors-and-debugging, https://docs.mistral.ai/api/
    ("error", AnswerFailed),
    # https://docs.cohere.com/reference/chat
    ("ERROR", AnswerFailed),
    ("TIMEOUT", AnswerFailed),
    # https://docs.z.ai/api-reference/llm/chat-completion
    ("network_error", AnswerFailed),
    # https://api-docs.deepseek.com/api/create-chat-completion
    ("insufficient_system_resource", AnswerFailed),
    # Google's server of this API: https://discuss.ai.google.dev/c/gemini-api
    ("function_call_filter: MALFORMED_FUNCTION_CALL", EmptyCompletion),
]


@pytest.mark.parametrize(("reason", "kind"), FAILED_ENDINGS)
@pytest.mark.parametrize("content", ["", "Half an ans"])
def test_an_answer_that_ends_in_an_error_has_failed_and_is_charged(
    reason: str, kind: type[ProviderError], content: str
) -> None:
    with pytest.raises(kind) as whole:
        read(answer({"role": "assistant", "content": content}, reason), NAMED)
    chunks = [chunk({"content": content}), chunk({}, reason)]
    usage = {"id": "x", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
    with pytest.raises(kind) as later:
        streamed(*chunks, usage, request=NAMED)
    with pytest.raises(kind) as beside:
        streamed(chunks[0], {**chunk({}, reason), "usage": usage["usage"]}, request=NAMED)
    for caught in (whole, later, beside):
        assert caught.value.usage is not None
        assert (caught.value.usage.input_tokens, caught.value.usage.output_tokens) == (10, 5)
        assert caught.value.maybe_charged
    with pytest.raises(kind):
        streamed(*chunks, request=NAMED)  # no usage at all


def test_whole_calls_are_used_unless_the_answer_broke_off() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    lost = read(answer(copy.deepcopy(message), "MALFORMED_FUNCTION_CALL"))
    assert lost.finish_reason == "tool_calls"
    with pytest.raises(AnswerFailed):
        read(answer(copy.deepcopy(message), "error"))
    with pytest.raises(AnswerFailed):
        streamed(chunk({"tool_calls": [{"index": 0, **CALL}]}), chunk({}, "error"))


def test_the_error_of_a_choice_is_charged_too() -> None:
    body = answer({"role": "assistant", "content": ""}, "error")
    body["choices"][0]["error"] = {"code": 502, "message": "Boom."}
    with pytest.raises(ProviderError) as caught:
        read(body)
    assert caught.value.usage is not None
    assert caught.value.usage.input_tokens == 10


def test_one_choice_that_is_no_list_and_an_answer_without_an_ending_are_mended() -> None:
    body = answer({"role": "assistant", "content": "Hi"}, None)
    body["choices"] = body["choices"][0]
    assert repair_completion(body)
    assert body["choices"][0]["finish_reason"] == "stop"
    assert read_completion("p", REQUEST, body).text == "Hi"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        # https://openrouter.ai/docs/guides/overview/multimodal/image-generation
        ({"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
         "![image](data:image/png;base64,AAAA)"),
        # https://platform.openai.com/docs/api-reference/chat/object
        ({"audio": {"id": "a", "data": "AAAA", "transcript": "Paris"}}, "Paris"),
    ],
)  # fmt: skip
def test_pictures_and_speech_have_a_text_for_clients_of_another_api(
    fields: dict[str, Any], text: str
) -> None:
    body = answer({"role": "assistant", "content": None, **fields})
    assert read_completion("p", NAMED, body, relayed=False).text == text
    assert read_completion("p", NAMED, body, relayed=True).text == ""
    reader = OpenAIStream("p", NAMED, relayed=False)
    events = list(reader.feed("message", chunk({"content": "", **fields})))
    assert [event.text for event in events if isinstance(event, TextDelta)] == [text]


def test_one_choice_of_several_that_fails_does_not_fail_the_others() -> None:
    deltas = [(0, {"content": "A"}, None), (0, {}, "error"), (1, {"content": "B"}, "stop")]
    chunks: list[dict[str, Any] | None] = [
        {"choices": [{"index": index, "delta": delta, "finish_reason": end}]}
        for index, delta, end in deltas
    ]
    chunks.append({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 2}})
    reader = OpenAIStream("p", REQUEST)
    events = [event for chunk in (*chunks, None) for event in reader.feed("message", chunk)]
    assert [e.reason for e in events if isinstance(e, Finished)] == ["stop", "other"]
    assert any(isinstance(event, UsageReported) for event in events)
