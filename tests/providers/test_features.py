"""What a request needs, in which field, and how each wire spells what it can say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from providers import features
from providers.anthropic.request import anthropic_payload
from providers.catalogue import load_catalogue
from providers.chat import (
    Chat,
    Image,
    JsonOutput,
    Message,
    Native,
    OriginalRequest,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from providers.completion import CompletionRequest
from providers.gemini.request import gemini_payload
from providers.openai.request import openai_payload

HELLO = Message("user", (Text("Hello"),))
PLAIN = Chat((HELLO,))
PNG = Image("image/png", "aGk=")
KNOWN = {v for k, v in vars(features).items() if k.isupper() and isinstance(v, str)}


def chat(**change: Any) -> Chat:
    return replace(PLAIN, **change)


def said(*messages: Message) -> Chat:
    return Chat(messages)


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        (PLAIN, {}),
        (chat(temperature=1, top_p=1, n=1, presence_penalty=0), {}),
        (chat(temperature=0.5), {"temperature": "temperature"}),
        (
            chat(temperature=1.5),
            {"temperature": "temperature", "temperature above 1": "temperature"},
        ),
        (chat(top_k=5), {"top_k": "top_k"}),
        (chat(seed=0), {"seed": "seed"}),
        (chat(n=2), {"several choices (n)": "n"}),
        (chat(logprobs=True), {"logprobs": "logprobs"}),
        (chat(logit_bias={"1": 2}), {"logit bias": "logit_bias"}),
        (chat(stop=("a",)), {"stop sequences": "stop"}),
        (
            chat(stop=("a",) * 4),
            {"stop sequences": "stop", "several stop sequences": "stop"},
        ),
        (
            chat(stop=("a",) * 5),
            {
                "stop sequences": "stop",
                "several stop sequences": "stop",
                "more than four stop sequences": "stop",
            },
        ),
        (
            chat(tools=(Tool("f"),), tool_choice=ToolChoice("required")),
            {"tools": "tools", "tool choices other than auto": "tool_choice"},
        ),
        (
            chat(output=JsonOutput()),
            {"json": "response_format", "JSON without a schema": "response_format"},
        ),
        (
            chat(output=JsonOutput({})),
            {"json": "response_format", "JSON schemas": "response_format"},
        ),
        (chat(tools=(Tool("f"),)), {"tools": "tools"}),
        (chat(tools=(Tool("f", strict=True),)), {"tools": "tools", "strict tools": "tools.strict"}),
        (
            chat(tools=(Tool("f"),), parallel_tools=False),
            {"tools": "tools", "forbidding parallel tool calls": "parallel_tool_calls"},
        ),
        (said(Message("user", (PNG,))), {"vision": "messages"}),
        (
            said(Message("user", (Image(url="https://x/y"),))),
            {"vision": "messages", "image URLs": "messages"},
        ),
        (
            said(Message("user", (ToolResult("c", (PNG,)),))),
            {"tools": "messages", "images in tool results": "messages", "vision": "messages"},
        ),
        (said(Message("user", (Text("x"),), "ann")), {"names of participants": "messages.name"}),
        (
            said(HELLO, Message("system", (Text("x"),)), HELLO),
            {"system messages amid the conversation": "messages"},
        ),
        (
            said(HELLO, Message("assistant", (Text("x"),))),
            {"continuing an assistant's message": "messages"},
        ),
        (
            chat(native=("thinking",), source=OriginalRequest("anthropic", {})),
            {"the anthropic API": "thinking"},
        ),
        (
            replace(
                said(Message("user", (Native("document"),))),
                source=OriginalRequest("anthropic", {}),
            ),
            {"the anthropic API": "messages (document)"},
        ),
        (
            replace(
                said(HELLO, Message("assistant", (Text("x"),))),
                source=OriginalRequest("openai", {}),
            ),
            {"the openai API": "messages"},
        ),
    ],
)
def test_a_strict_request_needs_all_it_has(asked: Chat, needs: dict[str, str]) -> None:
    assert features.needs(asked, strict=True) == needs
    binding = {k: v for k, v in needs.items() if k not in features.DROPPABLE}
    assert features.needs(asked) == binding


def test_what_a_model_leaves_out_is_named() -> None:
    asked = chat(
        temperature=0.5,
        seed=1,
        extras=("metadata",),
        source=OriginalRequest("openai", {}),
    )
    has = frozenset({features.TEMPERATURE})
    assert features.dropped(asked, has, relayed=False) == ("metadata", "seed")
    assert features.dropped(asked, has, relayed=True) == ("seed",)


def test_what_the_catalogue_says_is_lacking_is_known() -> None:
    catalogue = load_catalogue()
    lacking = [spec.lacks for spec in (*catalogue.providers.values(), *catalogue.models)]
    assert set().union(*lacking) <= KNOWN
    abilities = set().union(*(model.capabilities for model in catalogue.models))
    assert abilities <= {features.TOOLS, features.VISION, features.JSON}


def payloads(asked: Chat) -> tuple[Any, Any, Any]:
    request = CompletionRequest("m", asked)
    return (
        openai_payload(request),
        anthropic_payload(request),
        gemini_payload(asked),
    )


def test_a_turn_that_says_nothing_is_left_out_where_it_would_be_refused() -> None:
    openai, anthropic, gemini = payloads(said(HELLO, Message("assistant", ()), HELLO))
    assert [m["content"] for m in openai["messages"]] == ["Hello", "", "Hello"]
    assert [m["role"] for m in anthropic["messages"]] == ["user"]
    assert [c["role"] for c in gemini["contents"]] == ["user", "user"]


def test_a_failed_tool_s_result_is_told_as_such() -> None:
    calls = Message("assistant", (ToolCall("c 1", "f", "{}"),))
    result = Message("user", (Text("Here:"), ToolResult("c 1", (Text("boom"),), is_error=True)))
    openai, anthropic, gemini = payloads(said(HELLO, calls, result))
    assert openai["messages"][2:] == [
        {"role": "tool", "tool_call_id": "c 1", "content": "Error: boom"},
        {"role": "user", "content": "Here:"},
    ]
    blocks = anthropic["messages"][2]["content"]
    # Results come first, and ids are such as the API takes.
    assert [b["type"] for b in blocks] == ["tool_result", "text"]
    assert blocks[0]["is_error"] is True
    assert blocks[0]["tool_use_id"] == anthropic["messages"][1]["content"][0]["id"] == "c_1"
    (part,) = gemini["contents"][2]["parts"]
    response = part["functionResponse"]
    assert (response["name"], response["response"]) == ("f", {"error": "boom"})
    assert gemini["contents"][3]["parts"] == [{"text": "Here:"}]


@pytest.mark.parametrize(
    ("choice", "spelt"),
    [
        (ToolChoice("auto"), ("auto", {"type": "auto"}, {"mode": "AUTO"})),
        (ToolChoice("none"), ("none", {"type": "none"}, {"mode": "NONE"})),
        (ToolChoice("required"), ("required", {"type": "any"}, {"mode": "ANY"})),
        (
            ToolChoice("named", "f"),
            (
                {"type": "function", "function": {"name": "f"}},
                {"type": "tool", "name": "f"},
                {"mode": "ANY", "allowedFunctionNames": ["f"]},
            ),
        ),
    ],
)
def test_how_a_tool_is_chosen(choice: ToolChoice, spelt: tuple[Any, Any, Any]) -> None:
    openai, anthropic, gemini = payloads(chat(tools=(Tool("f"),), tool_choice=choice))
    found = (
        openai["tool_choice"],
        anthropic["tool_choice"],
        gemini["toolConfig"]["functionCallingConfig"],
    )
    assert found == spelt


def test_malformed_arguments_of_a_model_are_kept_as_text() -> None:
    calls = Message("assistant", (ToolCall("c", "f", '{"a": '), ToolCall("d", "f", "[1]")))
    openai, anthropic, _ = payloads(said(HELLO, calls))
    assert openai["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"a": '
    assert [b["input"] for b in anthropic["messages"][1]["content"]] == [
        {"arguments": '{"a": '},
        {"arguments": "[1]"},
    ]
