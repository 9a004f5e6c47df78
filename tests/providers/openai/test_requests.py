"""Requests of other APIs are made fit for OpenAI-like servers, and own ones stay as they came."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from providers import features
from providers.chat import (
    Chat,
    File,
    Image,
    JsonOutput,
    Message,
    OriginalRequest,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from providers.completion import CompletionRequest
from providers.openai.dialect import OPENAI_OWN, OPENROUTER, SERVER, Dialect
from providers.openai.relayed import relayed_payload
from providers.openai.request import openai_payload

MARK = {"type": "ephemeral"}
HELLO = Message("user", (Text("Hello"),))
HAS = {SERVER: features.OPENAI, OPENAI_OWN: features.OPENAI_OWN, OPENROUTER: features.OPENROUTER}


def sent(chat: Chat, dialect: Dialect = SERVER, model: str = "m", **more: Any) -> dict[str, Any]:
    request = CompletionRequest(model, chat, more.pop("lacks", frozenset()))
    write = openai_payload if chat.source is None else relayed_payload
    return write(request, dialect=dialect, has=HAS[dialect], provider="p", **more)


def test_files_and_audio_have_parts_of_their_own() -> None:
    pdf = File("application/pdf", "JVBERi0=", name="a.pdf")
    wav = File("audio/wav", "UklGRg==")
    body = sent(Chat((Message("user", (pdf, wav, File(text="Notes", name="n.txt"))),)), OPENAI_OWN)
    data = "data:application/pdf;base64,JVBERi0="
    assert body["messages"][0]["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "text", "text": "n.txt\n\nNotes"},
    ]


def test_a_picture_in_a_result_follows_it_in_a_message_of_the_user() -> None:
    call_id = "toolu_" + "x" * 60
    turns = (
        HELLO,
        Message("assistant", (ToolCall(call_id, "look", ""),)),
        Message("user", (ToolResult(call_id, (Text("Seen."), Image("image/png", "aGk=")), True),)),
    )
    _, asking, result, picture = sent(Chat(turns))["messages"]
    (call,) = asking["tool_calls"]
    assert call["function"]["arguments"] == "{}"
    assert result == {
        "role": "tool", "tool_call_id": call["id"], "content": "Error: Seen.",
    }  # fmt: skip
    assert len(call["id"]) <= 40
    assert picture["role"] == "user"
    assert "look" in picture["content"][0]["text"]
    assert picture["content"][1]["image_url"] == {"url": "data:image/png;base64,aGk="}


def test_marks_of_the_cache_go_to_openrouter_alone() -> None:
    chat = Chat((Message("system", (Text("Long", MARK),)), Message("user", (Text("Q", MARK),))))
    for message in sent(chat, OPENROUTER)["messages"]:
        assert message["content"][0]["cache_control"] == MARK
    assert "cache_control" not in str(sent(chat))


# Which efforts a model takes: https://platform.openai.com/docs/guides/reasoning
@pytest.mark.parametrize(
    ("model", "reasoning", "fields"),
    [
        ("gpt-6-luna", Reasoning("high"), {"reasoning_effort": "high"}),
        ("gpt-6-luna", Reasoning("max"), {"reasoning_effort": "xhigh"}),
        ("gpt-6-luna", Reasoning("minimal"), {"reasoning_effort": "low"}),
        ("gpt-6-luna", Reasoning("none"), {"reasoning_effort": "none"}),
        ("gpt-6-luna", Reasoning(budget=2000), {"reasoning_effort": "low"}),
        ("gpt-6-luna", Reasoning(budget=30_000), {"reasoning_effort": "high"}),
        ("gpt-6-luna", Reasoning(adaptive=True), {}),
        ("gpt-5-mini", Reasoning("none"), {"reasoning_effort": "minimal"}),
        ("o3", Reasoning("none"), {}),
        ("gpt-4o", Reasoning("high"), {}),
        ("openai/gpt-oss-20b", Reasoning("xhigh"), {"reasoning_effort": "high"}),
        ("deepseek-v4-flash", Reasoning("none"), {"thinking": {"type": "disabled"}}),
    ],
)
def test_reasoning_is_asked_for_in_the_model_s_words(
    model: str, reasoning: Reasoning, fields: dict[str, Any]
) -> None:
    body = sent(replace(Chat((HELLO,)), reasoning=reasoning), model=model)
    assert {k: v for k, v in body.items() if k in {"reasoning_effort", "thinking"}} == fields


def test_openrouter_has_its_own_form_of_reasoning() -> None:
    # https://openrouter.ai/docs/use-cases/reasoning-tokens
    for reasoning, value in (
        (Reasoning("high"), {"effort": "high"}),
        (Reasoning(budget=2000), {"max_tokens": 2000}),
        (Reasoning(adaptive=True, shown="omitted"), {"enabled": True, "exclude": True}),
    ):
        body = sent(replace(Chat((HELLO,)), reasoning=reasoning), OPENROUTER)
        assert body["reasoning"] == value


def test_reasoning_goes_back_to_its_author_alone() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x"}]
    own = Thinking("mine", details=details, provider="p", model="m")
    other = Thinking("theirs", provider="q", model="m")
    chat = Chat((HELLO, Message("assistant", (own, other, Text("Hi"))), HELLO))
    assert sent(chat)["messages"][1]["reasoning_content"] == "mine"
    assert sent(chat, OPENROUTER)["messages"][1]["reasoning_details"] == details
    assert sent(chat, OPENAI_OWN)["messages"][1] == {"role": "assistant", "content": "Hi"}
    groq = frozenset({features.PAST_REASONING})
    assert "reasoning_content" not in sent(chat, lacks=groq)["messages"][1]


def own_request(body: dict[str, Any], **change: Any) -> Chat:
    return replace(Chat((HELLO,)), source=OriginalRequest("openai", body), **change)


def test_a_request_that_names_its_model_goes_out_as_it_came() -> None:
    body = {
        "model": "m", "messages": [{"role": "user", "content": "Hello", "x": 1}], "odd": {"a": 1},
        "temperature": 1.5, "reasoning_effort": "minimal", "cache_control": MARK,
    }  # fmt: skip
    chat = own_request(body, chosen=False, temperature=1.5, cache=MARK)
    assert sent(chat, lacks=frozenset({features.TEMPERATURE})) == body


def test_a_model_that_we_chose_gets_what_it_has() -> None:
    body = {
        "model": "auto", "messages": [{"role": "user", "content": "Hello", "cache_control": MARK}],
        "temperature": 1.5, "seed": 1, "reasoning_effort": "minimal", "stop": list("abcde"),
        "cache_control": MARK,
    }  # fmt: skip
    chat = own_request(
        body, temperature=1.5, cache=MARK, reasoning=Reasoning("minimal"), stop=tuple("abcde")
    )
    lacks = frozenset({features.TEMPERATURE, features.SEED})
    assert sent(chat, OPENAI_OWN, "gpt-6-luna", lacks=lacks) == {
        "model": "gpt-6-luna", "messages": [{"role": "user", "content": "Hello"}],
        "reasoning_effort": "low", "stop": list("abcd"),
    }  # fmt: skip


def test_sealed_reasoning_of_others_is_left_out_on_the_own_wire() -> None:
    sealed = [{"type": "reasoning.text", "text": "t", "signature": "aco1:x"}]
    message = {
        "role": "assistant", "content": None, "reasoning_content": "t",
        "reasoning_details": sealed,
    }  # fmt: skip
    body = {"model": "m", "messages": [message]}

    def turn(provider: str) -> tuple[Message, ...]:
        return (Message("assistant", (Thinking("t", provider=provider, model="m"),)),)

    for chosen in (True, False):
        chat = own_request(body, chosen=chosen, sealed=True)
        (other,) = sent(replace(chat, messages=turn("q")))["messages"]
        assert other == {"role": "assistant", "content": ""}
        (own,) = sent(replace(chat, messages=turn("p")))["messages"]
        assert own["reasoning_content"] == "t"
        assert "reasoning_details" not in own


STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def test_schemas_are_strict_only_where_their_meaning_stays() -> None:
    loose = {**STRICT, "required": []}
    for schema, strict in ((STRICT, True), (loose, None)):
        body = sent(
            replace(Chat((HELLO,)), output=JsonOutput(schema), tools=(Tool("f", "", schema, True),))
        )
        output = body["response_format"]["json_schema"]
        assert (output.get("strict"), body["tools"][0]["function"].get("strict")) == (strict,) * 2
        assert ("additionalProperties" in output["schema"]) == bool(strict)


def test_parameters_are_one_object() -> None:
    schema = {"anyOf": [STRICT, {"type": "object", "properties": {"b": {}}, "required": ["b"]}]}
    body = sent(replace(Chat((HELLO,)), tools=(Tool("f", "", schema), Tool("g"))))
    one, none = (tool["function"]["parameters"] for tool in body["tools"])
    assert (one["type"], sorted(one["properties"]), one["required"]) == ("object", ["a", "b"], [])
    assert none["type"] == "object"
