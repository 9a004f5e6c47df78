"""Requests of other APIs for Claude: fit for the wire, and for each generation of models.

What is refused: https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting,
https://platform.claude.com/docs/en/build-with-claude/structured-outputs,
https://github.com/anthropics/anthropic-sdk-python/issues/494 (calls without tools),
https://github.com/anthropics/claude-code/issues/7929 (calls without results).
"""

from __future__ import annotations

from typing import Any

import pytest

from providers.anthropic.request import anthropic_payload
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
    ToolChoice,
    ToolResult,
)
from providers.completion import CompletionRequest

HAIKU, SONNET, OPUS = "claude-haiku-4-5", "claude-sonnet-5-5", "claude-opus-5-5"
MARK = {"type": "ephemeral", "ttl": "1h"}


def user(*parts: Any) -> Message:
    return Message("user", tuple(Text(p) if isinstance(p, str) else p for p in parts))


def assistant(*parts: Any) -> Message:
    return Message("assistant", user(*parts).parts)


def payload(*messages: Message, model: str = HAIKU, **fields: Any) -> dict[str, Any]:
    fields.setdefault("source", OriginalRequest("openai", {}))
    chat = Chat(messages or (user("Hi"),), **fields)
    return anthropic_payload(CompletionRequest(model, chat), "claude")


@pytest.mark.parametrize(
    ("model", "reasoning", "expected"),
    [
        (HAIKU, Reasoning("high"), {"thinking": {"type": "enabled", "budget_tokens": 12288}}),
        (HAIKU, Reasoning(adaptive=True), {"thinking": {"type": "enabled", "budget_tokens": 8192}}),
        (HAIKU, Reasoning("none"), {}),
        (
            SONNET,
            Reasoning("high"),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        (
            SONNET,
            Reasoning(budget=2000, shown="omitted"),
            {
                "thinking": {"type": "adaptive", "display": "omitted"},
                "output_config": {"effort": "low"},
            },
        ),
        (SONNET, Reasoning("none"), {"thinking": {"type": "between_tools"}}),
        ("claude-haiku-5-5", Reasoning("none"), {"thinking": {"type": "disabled"}}),
        (OPUS, Reasoning("none"), {"output_config": {"effort": "low"}}),
        (
            OPUS,
            Reasoning("minimal"),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        ),
    ],
)
def test_reasoning_is_asked_for_as_the_model_takes_it(
    model: str, reasoning: Reasoning, expected: dict[str, Any]
) -> None:
    body = payload(model=model, reasoning=reasoning)
    assert {k: body[k] for k in ("thinking", "output_config") if k in body} == expected


def test_sampling_is_left_out_where_it_is_refused_and_clamped_where_it_is_taken() -> None:
    hot: dict[str, Any] = {"temperature": 1.5, "top_k": 5}
    assert payload(model=HAIKU, **hot)["temperature"] == 1
    assert not {"temperature", "top_k"} & payload(model=SONNET, **hot).keys()


def test_a_forced_choice_and_thinking_exclude_each_other() -> None:
    forced: dict[str, Any] = {
        "tools": (Tool("f"),),
        "tool_choice": ToolChoice("required"),
        "reasoning": Reasoning("high"),
    }
    assert "thinking" not in payload(model=HAIKU, **forced)
    assert payload(model=HAIKU, **forced)["tool_choice"] == {"type": "any"}
    told = payload(model=OPUS, **forced)
    assert told["tool_choice"] == {"type": "auto"}
    assert "calling one of the tools" in told["system"]


def test_turns_alternate_and_begin_and_end_with_the_user() -> None:
    turns = payload(assistant("Hi"), user("a"), user(" "), user("b"), assistant("c"))["messages"]
    assert [t["role"] for t in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert [b["text"] for b in turns[2]["content"]] == ["a", "b"]
    assert payload(Message("system", (Text("Only rules."),)))["messages"][0]["role"] == "user"


def test_each_call_has_one_result_directly_after_it() -> None:
    calls = assistant(ToolCall("a 1", "f", "{}"), ToolCall("b", "f", '{"x": 1}'))
    stray = ToolResult("z", (Text("stray"),))
    turns = payload(
        user("Q"), calls, user("First", ToolResult("b", (Text("2"),)), stray), assistant("ok"),
        tools=(Tool("f"),),
    )["messages"]  # fmt: skip
    results = turns[2]["content"]
    assert [(b["type"], b.get("tool_use_id")) for b in results[:2]] == [
        ("tool_result", "a_1"),
        ("tool_result", "b"),
    ]
    assert results[0]["is_error"] is True
    assert [b["text"] for b in results[2:]] == ["stray", "First"]


def test_calls_without_declared_tools_declare_them() -> None:
    body = payload(
        user("Q"), assistant(ToolCall("a", "long.name", "{}")), user(ToolResult("a", ()))
    )
    assert body["tools"][0]["name"] == body["messages"][1]["content"][0]["name"]
    assert body["tool_choice"] == {"type": "none"}


def test_system_messages_stay_where_the_model_can_hold_them() -> None:
    rules, later = Message("system", (Text("Rules."),)), Message("system", (Text("Be brief."),))
    for model, roles in ((SONNET, ["user", "system"]), (HAIKU, ["user"])):
        body = payload(rules, user("Q"), later, model=model)
        assert body["system"] == "Rules."
        assert [m["role"] for m in body["messages"]] == roles
        assert "Be brief." in str(body["messages"])


def test_only_the_model_s_own_reasoning_goes_back_in_its_own_form() -> None:
    own = Thinking("own", "sig", provider="claude", model=HAIKU)
    hidden = Thinking(redacted="xyz", provider="claude", model=HAIKU)
    other = Thinking("other", "gsig", provider="gemini", model="gemini-3.8-flash")
    blocks = payload(user("Q"), assistant(own, hidden, other, Thinking("bare"), "A"), user("Q"))
    assert blocks["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "own", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "A"},
    ]


def test_cache_marks_documents_and_pictures_are_carried() -> None:
    body = payload(
        Message("system", (Text("Long.", MARK),)),
        user(
            Text("Q", MARK),
            File("application/pdf", data="aGk=", name="a.pdf"),
            File(url="https://example.com/a.pdf"),
            File(text="words"),
            Image(file_id="file_1"),
        ),
        tools=(Tool("f", cache=MARK),),
        cache=MARK,
    )
    assert body["system"][0]["cache_control"] == MARK
    assert body["tools"][0]["cache_control"] == MARK
    assert body["cache_control"] == MARK
    text, *documents = body["messages"][0]["content"]
    assert text["cache_control"] == MARK
    assert [d["source"]["type"] for d in documents] == ["base64", "url", "text", "file"]


def test_schemas_are_those_that_claude_takes() -> None:
    params = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "description": "Count."}},
        "anyOf": [{"required": ["n"]}],
    }
    body = payload(tools=(Tool("f", parameters=params),), output=JsonOutput(params, "answer"))
    schema = body["tools"][0]["input_schema"]
    assert schema["type"] == "object"
    assert "anyOf" not in schema
    strict = body["output_config"]["format"]["schema"]
    assert strict["additionalProperties"] is False
    assert strict["properties"]["n"] == {
        "type": "integer",
        "description": 'Count.\n\n{"minimum": 1}',
    }
    assert "JSON" in payload(output=JsonOutput())["system"]


@pytest.mark.parametrize("person", ["ann@example.com", "+49 170 1234567", "x" * 300])
def test_a_user_s_id_says_nothing_of_the_person(person: str) -> None:
    sent = payload(user=person)["metadata"]["user_id"]
    assert person not in sent
    assert sent == payload(user=person)["metadata"]["user_id"]
    assert payload(user="u-123")["metadata"]["user_id"] == "u-123"


def own_wire(model: str, body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    messages = fields.pop("messages", (user("Q"),))
    chat = Chat(messages, source=OriginalRequest("anthropic", body), **fields)
    return anthropic_payload(CompletionRequest(model, chat), "claude")


def test_a_named_model_gets_its_client_s_body_as_it_is() -> None:
    body = {
        "messages": [{"role": "user", "content": "Q"}],
        "thinking": {"type": "adaptive"},
        "temperature": 0.2,
        "anything": {"new": True},
    }
    sent = own_wire(HAIKU, body, chosen=False, reasoning=Reasoning(adaptive=True))
    assert sent == {**body, "model": HAIKU}


def test_a_chosen_model_gets_nothing_that_it_refuses() -> None:
    body = {
        "messages": [{"role": "user", "content": "Q"}],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "max_tokens": 4000,
        "anything": {"new": True},
    }
    sent = own_wire(HAIKU, body, reasoning=Reasoning("high", adaptive=True))
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 3000}
    assert "output_config" not in sent
    assert sent["anything"] == {"new": True}
    budget = {**body, "thinking": {"type": "enabled", "budget_tokens": 1024}, "top_k": 3}
    sent = own_wire(SONNET, budget, reasoning=Reasoning("high", budget=1024))
    assert sent["thinking"] == {"type": "adaptive"}
    assert sent["output_config"] == {"effort": "high"}
    assert "top_k" not in sent
    assert body["thinking"] == {"type": "adaptive"}


def test_unsigned_and_foreign_reasoning_is_taken_out_of_the_client_s_body() -> None:
    blocks = [
        {"type": "thinking", "thinking": "bare", "signature": ""},
        {"type": "thinking", "thinking": "foreign", "signature": "aco1:x"},
        {"type": "redacted_thinking", "data": "aco1:y"},
        {"type": "thinking", "thinking": "signed", "signature": "sig"},
        {"type": "text", "text": "A"},
    ]
    thoughts = (
        Thinking("bare"),
        Thinking("foreign", "s", provider="groq", model="m"),
        Thinking("own", "real", provider="claude", model=HAIKU),
        Thinking("signed", "sig"),
    )
    body = {"messages": [{"role": "assistant", "content": blocks}]}
    messages = (Message("assistant", (*thoughts, Text("A"))),)
    for chosen in (True, False):
        sent = own_wire(HAIKU, body, messages=messages, sealed=True, chosen=chosen)
        assert sent["messages"][0]["content"] == [
            {"type": "thinking", "thinking": "own", "signature": "real"},
            blocks[3],
            blocks[4],
        ]
    only = {"messages": [{"role": "assistant", "content": blocks[:1]}]}
    sent = own_wire(HAIKU, only, messages=(Message("assistant", thoughts[:1]),), sealed=True)
    assert sent["messages"][0]["content"] == [{"type": "text", "text": "."}]
