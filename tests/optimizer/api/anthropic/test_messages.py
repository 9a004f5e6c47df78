"""Messages of clients, read for every wire, and the reasoning of other models in answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from optimizer.api.anthropic.reasoning import Author
from optimizer.api.anthropic.request import continues_thread, read_message_query
from optimizer.api.anthropic.stream import MessageStreamEncoder
from optimizer.domain.reasoning_seals import seal
from providers.chat import Chat, File, Image, Reasoning, Text, Thinking, ToolCall, ToolResult
from providers.events import Event, TextDelta, ThinkingDelta, ToolArguments, ToolCallStarted

MARK = {"type": "ephemeral"}


def read(messages: list[Any] | None = None, **fields: Any) -> Chat:
    messages = messages or [{"role": "user", "content": "Q"}]
    return read_message_query({"model": "auto", "messages": messages, **fields}, "").chat


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            Reasoning("", None, True, "omitted"),
        ),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(budget=2000)),
        ({"thinking": {"type": "disabled"}}, Reasoning("none")),
        ({"output_config": {"effort": "high"}}, Reasoning("high")),
        ({}, None),
    ],
)
def test_thinking_and_effort_are_read(fields: dict[str, Any], expected: Reasoning | None) -> None:
    chat = read(**fields)
    assert chat.reasoning == expected
    assert not chat.native


def test_what_only_anthropic_knows_is_dropped_or_binds() -> None:
    chat = read(
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
        speed="fast",
        service_tier="auto",
        output_config={"task_budget": {"total": 5}},
        metadata={"user_id": "u", "new": 1},
        new_field=1,
        nothing=[],
    )
    assert chat.native == ()
    assert set(chat.extras) == {
        "context_management",
        "speed",
        "output_config.task_budget",
        "new_field",
    }
    assert read(mcp_servers=[{"name": "x"}], container="c").native == ("mcp_servers", "container")
    assert read(tools=[{"type": "web_search_20250305", "name": "web_search"}]).native == ("tools",)


def test_blocks_are_read_for_every_wire() -> None:
    blocks = [
        {"type": "text", "text": "a", "cache_control": MARK},
        {"type": "document", "title": "t", "source": {"type": "base64", "data": "aGk="}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "content", "content": "inner"}},
        {"type": "search_result", "source": "s", "title": "t",
         "content": [{"type": "text", "text": "c"}]},
        {"type": "image", "source": {"type": "file", "file_id": "i"}},
        {"type": "tool_result", "tool_use_id": "x", "is_error": True,
         "content": [{"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}}]},
    ]  # fmt: skip
    system = {"role": "system", "content": [{"type": "text", "text": "Later."}]}
    chat = read([{"role": "user", "content": blocks}, system])
    assert chat.messages[0].parts == (
        Text("a", MARK),
        File("application/pdf", data="aGk=", name="t"),
        File(file_id="f"),
        Text("inner"),
        Text("t\ns\nc"),
        Image(file_id="i"),
        ToolResult("x", (File("application/pdf", url="https://e.com/a.pdf"),), is_error=True),
    )
    assert chat.messages[1].role == "system"
    assert not chat.sealed


def test_sealed_reasoning_is_restored_with_its_author() -> None:
    thought = Thinking("hm", "sig", details=[{"type": "reasoning.text"}])
    sealed = seal(thought, "groq", "m")
    call = Author("gemini", "g").before_call(ToolCall("c", "f", "{}", "thought-signature"))
    assert call is not None
    content = [
        {"type": "thinking", "thinking": "hm", "signature": sealed},
        {"type": "thinking", "thinking": "bare", "signature": ""},
        {"type": "thinking", "thinking": "own", "signature": "real"},
        call,
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]
    chat = read([{"role": "assistant", "content": content}])
    parts = chat.messages[0].parts
    assert parts[0] == Thinking("hm", "sig", "", [{"type": "reasoning.text"}], "groq", "m")
    assert parts[1:4] == (Thinking("bare"), Thinking("own", "real"), Thinking())
    assert parts[4] == ToolCall("c", "f", "{}", "thought-signature", ("gemini", "g"))
    assert chat.sealed
    assert not read([{"role": "assistant", "content": content[2:3]}]).sealed


def test_a_thread_that_goes_on_is_told_from_one_that_begins() -> None:
    assert continues_thread({"thread": {"type": "continue", "previous_message_id": "m"}})
    assert not continues_thread({"thread": {"type": "create"}})


def blocks_of(events: list[Event], author: Author) -> list[dict[str, Any]]:
    encoder = MessageStreamEncoder("id", "m", lambda: author, input_tokens=1)
    raw = b"".join(m for event in [*events, TextDelta("end")] for m in encoder.encode(event))
    found: list[dict[str, Any]] = []
    for line in raw.decode().split("\n"):
        data = json.loads(line[6:]) if line.startswith("data: ") else {}
        if data.get("type") == "content_block_start":
            found.append(dict(data["content_block"]))
        for name, value in data.get("delta", {}).items():
            if name in {"thinking", "signature", "text"}:
                found[-1][name] = found[-1].get(name, "") + value
    return found[:-1]


def test_streamed_reasoning_is_signed_at_the_end_of_its_block() -> None:
    events: list[Event] = [
        ThinkingDelta("a", block=0),
        ThinkingDelta("b", block=0),
        ThinkingDelta(details=[{"type": "reasoning.encrypted"}], block=1),
        ThinkingDelta("c", "sig", block=2),
        ToolCallStarted(0, "c", "f", "call-signature"),
        ToolArguments(0, "{}"),
    ]
    found = blocks_of(events, Author("groq", "m"))
    assert [b["type"] for b in found] == [
        "thinking", "redacted_thinking", "thinking", "redacted_thinking", "tool_use",
    ]  # fmt: skip
    assert all(b.get("signature", b.get("data", "x")) for b in found)
    parts = read([{"role": "assistant", "content": found}]).messages[0].parts
    assert [p.text for p in parts if isinstance(p, Thinking)] == ["ab", "", "c", ""]
    assert isinstance(parts[-1], ToolCall)
    assert (parts[-1].signature, parts[-1].signed_by) == ("call-signature", ("groq", "m"))


def test_reasoning_of_an_anthropic_provider_keeps_its_own_form() -> None:
    events: list[Event] = [
        ThinkingDelta("a", "1", block=0),
        ThinkingDelta(redacted="x", block=1),
        ThinkingDelta(redacted="y", block=2),
        ThinkingDelta(signature="2", block=3),
    ]
    assert blocks_of(events, Author("claude", "m", own=True)) == [
        {"type": "thinking", "thinking": "a", "signature": "1"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "redacted_thinking", "data": "y"},
        {"type": "thinking", "thinking": "", "signature": "2"},
    ]


def test_reminders_before_a_person_s_words_are_a_turn_of_their_own() -> None:
    reminder = {"type": "text", "text": "<system-reminder>\nTools: ls\n</system-reminder>"}
    words = {"type": "text", "text": "Say hello in one word"}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "hello.txt"}

    def texts(*blocks: dict[str, Any]) -> list[str]:
        turn = {"role": "user", "content": list(blocks)}
        return [message.text for message in read([turn]).messages]

    assert texts(reminder, reminder, words) == ["\n".join([reminder["text"]] * 2), words["text"]]
    assert texts(reminder) == [reminder["text"]]
    assert texts(words, reminder) == ["\n".join((words["text"], reminder["text"]))]
    assert len(texts(result, reminder)) == 1
