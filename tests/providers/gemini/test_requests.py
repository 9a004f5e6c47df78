"""What Gemini's models are sent, by their generation.

https://ai.google.dev/gemini-api/docs/thinking, https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from typing import Any

import pytest

from providers import features
from providers.chat import (
    Chat,
    File,
    Image,
    Message,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from providers.gemini.request import gemini_payload

HELLO = Message("user", (Text("Hello"),))
OWN = ("gemini", "gemini-3.8-flash")
SKIP = "skip_thought_signature_validator"


def sent(*messages: Message, model: str = OWN[1], **fields: Any) -> dict[str, Any]:
    lacks = fields.pop("lacks", frozenset())
    return gemini_payload(Chat(messages or (HELLO,), **fields), model, OWN[0], lacks)


def parts_of(*messages: Message, **fields: Any) -> list[Any]:
    return [content["parts"] for content in sent(*messages, **fields)["contents"]]


@pytest.mark.parametrize(
    ("model", "reasoning", "config"),
    [
        ("gemini-3.8-flash", Reasoning(effort="xhigh"), {"thinkingLevel": "high"}),
        ("gemini-3.8-flash", Reasoning(effort="none"), {"thinkingLevel": "low"}),
        ("gemini-3-flash-preview", Reasoning(effort="minimal"), {"thinkingLevel": "minimal"}),
        ("gemini-3-pro-preview", Reasoning(effort="medium"), {"thinkingLevel": "high"}),
        (
            "gemini-4-argon",
            Reasoning(budget=2000),
            {"thinkingLevel": "low", "includeThoughts": True},
        ),
        ("gemini-4-argon", Reasoning(adaptive=True), {"includeThoughts": True}),
        ("gemini-2.5-flash", Reasoning(effort="low"), {"thinkingBudget": 1024}),
        ("gemini-2.5-flash", Reasoning(effort="none"), {"thinkingBudget": 0}),
        ("gemini-2.5-pro", Reasoning(effort="none"), {"thinkingBudget": 128}),
        (
            "gemini-2.5-flash-lite",
            Reasoning(budget=100, shown="omitted"),
            {"thinkingBudget": 512},
        ),
        (
            "gemini-2.5-pro",
            Reasoning(effort="max", shown="summarized"),
            {"thinkingBudget": 32768, "includeThoughts": True},
        ),
        ("gemini-2.0-flash", Reasoning(effort="high"), None),
    ],
)
def test_reasoning_is_asked_for_as_the_generation_takes_it(
    model: str, reasoning: Reasoning, config: Any
) -> None:
    payload = sent(model=model, reasoning=reasoning)
    assert payload.get("generationConfig", {}).get("thinkingConfig") == config


def test_names_of_tools_fit_and_stay_the_same_in_every_place() -> None:
    name = "1 tool/with odd characters " + "x" * 80
    call = Message("assistant", (ToolCall("c", name, "{}"),))
    result = Message("user", (ToolResult("c", (Text("done"),)),))
    payload = sent(HELLO, call, result, tools=(Tool(name),), tool_choice=ToolChoice("named", name))
    outer = payload["tools"][0]["functionDeclarations"][0]["name"]
    assert len(outer) <= 64
    assert outer[0].isalpha()
    config = payload["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "ANY", "allowedFunctionNames": [outer]}
    assert payload["contents"][1]["parts"][0]["functionCall"]["name"] == outer
    assert payload["contents"][2]["parts"][0]["functionResponse"]["name"] == outer


def test_strict_tools_are_validated_and_freeform_ones_take_one_text() -> None:
    payload = sent(tools=(Tool("f", strict=True), Tool("patch", freeform=True)))
    assert payload["toolConfig"]["functionCallingConfig"] == {"mode": "VALIDATED"}
    declarations = payload["tools"][0]["functionDeclarations"]
    assert declarations[1]["parametersJsonSchema"]["required"] == ["input"]
    lacking = sent(tools=(Tool("f", strict=True),), lacks=frozenset({features.STRICT_TOOLS}))
    assert lacking["toolConfig"]["functionCallingConfig"] == {"mode": "AUTO"}


def test_results_of_parallel_calls_stand_in_one_turn_directly_after_the_calls() -> None:
    calls = Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))
    results = [Message("user", (ToolResult(i, (Text(i),)),)) for i in "ab"]
    hint = Message("system", (Text("Be brief."),))
    contents = sent(HELLO, calls, hint, *results)["contents"]
    assert [len(content["parts"]) for content in contents] == [1, 2, 2, 1]
    assert contents[3]["parts"][0]["text"] == "<system>\nBe brief.\n</system>"


def test_signatures_go_to_their_own_model_alone() -> None:
    own = ToolCall("a", "f", "{}", "sealed", OWN)
    second = ToolCall("b", "f", "{}")
    assert parts_of(Message("assistant", (own, second)))[0] == [
        {"functionCall": {"name": "f", "args": {}, "id": "a"}, "thoughtSignature": "sealed"},
        {"functionCall": {"name": "f", "args": {}, "id": "b"}},
    ]
    other = ToolCall("a", "f", "{}", "sealed", ("claude", "x"))
    assert parts_of(Message("assistant", (other,)))[0][0]["thoughtSignature"] == SKIP
    thoughts = (
        Thinking("hm", "s1", provider=OWN[0], model=OWN[1]),
        Text("Yes."),
        Thinking("", "s2", provider=OWN[0], model=OWN[1]),
        Thinking("no", "s3", provider="claude", model="x"),
        Thinking("nobody's"),
    )
    assert parts_of(Message("assistant", thoughts))[0] == [
        {"text": "hm", "thought": True, "thoughtSignature": "s1"},
        {"text": "Yes.", "thoughtSignature": "s2"},
    ]


def test_files_go_as_bytes_or_by_their_address() -> None:
    message = Message(
        "user",
        (
            Image("image/png", "AA=="),
            Image(url="https://example.com/a.webp?x=1"),
            Image(url="https://example.com/picture"),
            File("audio/wav", "BB=="),
            File(url="https://example.com/a.pdf"),
            File(text="plain", name="a.txt"),
        ),
    )
    assert parts_of(message)[0] == [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {
            "fileData": {
                "fileUri": "https://example.com/a.webp?x=1",
                "mimeType": "image/webp",
            }
        },
        {"fileData": {"fileUri": "https://example.com/picture"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "BB=="}},
        {"fileData": {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}},
        {"text": "a.txt:\nplain"},
    ]


def test_a_picture_in_a_result_stands_where_the_generation_takes_it() -> None:
    call = Message("assistant", (ToolCall("a", "f", "{}"),))
    result = Message("user", (ToolResult("a", (Text("see"), Image("image/png", "AA=="))),))
    picture = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    newer = parts_of(HELLO, call, result)[2]
    assert newer[0]["functionResponse"]["parts"] == [picture]
    older = parts_of(HELLO, call, result, model="gemini-2.5-pro")[2]
    assert "parts" not in older[0]["functionResponse"]
    assert older[1] == picture


def test_what_google_would_refuse_is_not_sent() -> None:
    payload = sent(
        Message("system", (Text("Only this."),)), stop=("", "a", "b", "c", "d", "e", "f")
    )
    assert payload["contents"] == [{"role": "user", "parts": [{"text": "Only this."}]}]
    assert "systemInstruction" not in payload
    assert payload["generationConfig"]["stopSequences"] == ["a", "b", "c", "d", "e"]
    lacks = frozenset({features.TEMPERATURE, features.SEED})
    assert "generationConfig" not in sent(temperature=0.3, seed=1, lacks=lacks)
