"""What Gemini's models and the servers that speak its wire answer, whatever its shape."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import errors
from providers.assembly import CompletionBuilder
from providers.chat import Chat, OriginalRequest, Text, Thinking, Tool, ToolCall
from providers.completion import Completion, CompletionRequest, Opaque
from providers.gemini.answer import read_response
from providers.gemini.array import joined
from providers.gemini.stream import GeminiStream
from providers.gemini.tools import tool_names
from providers.http.wire import SHAPE_ERRORS
from tests.fakes.wires import gemini_response

REQUEST = CompletionRequest("gemini-3.8-flash", Chat.of_prompt("Hi"))
OWN = CompletionRequest(
    "gemini-3.8-flash",
    Chat(REQUEST.chat.messages, source=OriginalRequest("gemini", {"contents": []})),
)
PNG = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}


def answer(*parts: Any, finish: Any = "STOP") -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts)}, "finishReason": finish}
    return gemini_response("m", candidates=[candidate])


def whole(body: dict[str, Any], request: CompletionRequest = REQUEST) -> Completion:
    return read_response("gemini", request, copy.deepcopy(body))


def streamed(*bodies: dict[str, Any], request: CompletionRequest = REQUEST) -> Completion:
    reader, builder = GeminiStream("gemini", request), CompletionBuilder("gemini", request)
    for body in bodies:
        for event in reader.feed("", copy.deepcopy(body)):
            builder.add(event)
    assert reader.complete
    return builder.completion()


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"text": 5}, "5"),
        ({"text": ["a", {"text": "b"}]}, "ab"),
        ("plain", "plain"),
        (PNG, "![image](data:image/png;base64,AA==)"),
        ({"executableCode": {"language": "PYTHON", "code": "x"}}, "\n```python\nx\n```\n"),
        ({"codeExecutionResult": {"output": "4"}}, "\n```\n4\n```\n"),
        ({"text": "a", "newField": {"b": 1}}, "a"),
    ],
)
def test_every_part_that_says_something_is_delivered(part: Any, text: str) -> None:
    assert whole(answer(part)).text == text
    assert streamed(answer(part)).text == text


def test_a_client_of_the_wire_gets_parts_as_they_are() -> None:
    assert whole(answer(PNG), OWN).choices[0].parts == (Opaque("gemini", PNG),)


def test_parts_may_be_one_object_and_content_a_text() -> None:
    for content in ({"parts": {"text": "a"}}, "a", ["a"], {"parts": [None, "a"]}):
        body = gemini_response("m", candidates={"content": content, "finishReason": "STOP"})
        assert whole(body).text == streamed(body).text == "a"


def test_calls_are_read_whatever_their_arguments() -> None:
    calls = [
        {"functionCall": {"name": "f", "args": '{"a": 1}', "id": "x"}},
        {"functionCall": {"name": "f"}},
        {"functionCall": {"args": {}}},
    ]
    for completion in (whole(answer(*calls)), streamed(answer(*calls, finish="OTHER"))):
        first, second = completion.choices[0].tool_calls
        assert (first.id, first.input, second.arguments) == ("x", {"a": 1}, "{}")
        assert completion.finish_reason == "tool_calls"


def test_names_and_freeform_tools_come_back_as_the_client_gave_them() -> None:
    name = "my/patch"
    request = CompletionRequest("m", Chat((), tools=(Tool(name, freeform=True),)))
    outer = tool_names(request.chat).outer(name)
    body = answer({"functionCall": {"name": outer, "args": {"input": "x"}}})
    for completion in (whole(body, request), streamed(body, request=request)):
        (call,) = completion.choices[0].tool_calls
        assert (call.name, call.freeform) == (name, True)


def test_reasoning_and_its_signatures_are_kept_apart() -> None:
    parts: list[Any] = [
        {"text": "hm", "thought": True, "thoughtSignature": "s1"},
        {"text": "so", "thought": True},
        {"text": "Yes.", "thoughtSignature": "s2"},
        {"functionCall": {"name": "f", "id": "x"}, "thoughtSignature": "s3"},
    ]
    expected = (
        Thinking("hm", "s1"),
        Thinking("so"),
        Text("Yes."),
        Thinking("", "s2"),
        ToolCall("x", "f", "{}", "s3"),
    )
    assert whole(answer(*parts)).choices[0].parts == expected
    pieces = [answer(part, finish=None) for part in parts]
    assert streamed(*pieces, answer(finish="STOP")).choices[0].parts == expected


@pytest.mark.parametrize(
    ("finish", "kind"),
    [
        ("LANGUAGE", errors.ContentBlocked),
        ("OTHER", errors.EmptyCompletion),
        ("SOMETHING_NEW", errors.EmptyCompletion),
        ("IMAGE_SAFETY", errors.ContentBlocked),
    ],
)
def test_an_ending_without_anything_usable_is_an_error_that_is_charged(
    finish: str, kind: type[errors.ProviderError]
) -> None:
    for read in (whole, streamed):
        with pytest.raises(kind) as caught:
            read(answer(finish=finish))
        assert caught.value.usage is not None
        assert read(answer({"text": "partly"}, finish=finish)).text == "partly"


@pytest.mark.parametrize(
    "finish",
    [
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    ],
)
def test_a_call_that_is_lost_is_no_answer_though_words_came_before_it(finish: str) -> None:
    # https://ai.google.dev/api/generate-content#FinishReason
    for read in (whole, streamed):
        for parts in ([], [{"text": "I will look."}]):
            with pytest.raises(errors.EmptyCompletion) as caught:
                read(answer(*parts, finish=finish))
            assert caught.value.usage is not None
        called = read(answer({"functionCall": {"name": "f"}}, finish=finish))
        assert called.finish_reason == "tool_calls"


def test_an_array_is_read_as_the_stream_that_it_is() -> None:
    messages = [answer({"text": "Pa"}, finish=None), answer({"text": "ris"})]
    completion = whole(joined("gemini", json.dumps(messages).encode()))
    assert (completion.text, completion.finish_reason) == ("Paris", "stop")
    with pytest.raises(errors.Overloaded):
        joined("gemini", json.dumps([{"error": {"code": 503}}]).encode())


RECORDED = [
    answer(
        {"text": "hm", "thought": True, "thoughtSignature": "s"},
        {"text": "Paris"},
        {"functionCall": {"name": "f", "args": {"a": [1]}, "id": "x"}},
        PNG,
    ),
    gemini_response("m"),
]
JUNK = st.sampled_from([None, 0, -1, True, "", "x", [], {}, [None], [{}], {"text": []}, 1e300])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    result = []
    for key, item in items:
        result.append((*path, key))
        if isinstance(item, (dict, list)):
            result += places(item, (*path, key))
    return result


@given(st.data())
def test_no_mutation_of_an_answer_raises_more_than_a_provider_s_error(data: st.DataObject) -> None:
    body = copy.deepcopy(data.draw(st.sampled_from(RECORDED)))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(body)))
        parent: Any = body
        for key in path[:-1]:
            parent = parent[key]
        if data.draw(st.booleans()) and isinstance(parent, dict):
            del parent[path[-1]]
        else:
            parent[path[-1]] = copy.deepcopy(data.draw(JUNK))
        if not places(body):
            break
    request = data.draw(st.sampled_from([REQUEST, OWN]))
    try:
        whole(body, request)
    except (errors.ProviderError, *SHAPE_ERRORS):
        pass  # the client of every wire reports these as a malformed answer
    reader, builder = GeminiStream("gemini", request), CompletionBuilder("gemini", request)
    try:
        for event in reader.feed("", body):
            builder.add(event)
    except (errors.ProviderError, *SHAPE_ERRORS):
        pass
    builder.completion()
