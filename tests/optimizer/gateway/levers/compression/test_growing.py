"""Whatever a conversation holds: what was sent never changes, and originals come back exactly."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.gateway.levers.compression.hidden import HiddenCall
from optimizer.gateway.levers.compression.sending import Sending, conversation_of
from optimizer.gateway.levers.compression.texts.cache import ShortTexts
from optimizer.gateway.levers.compression.texts.forms import Limits
from providers.chat import Chat, Message, OriginalRequest, Text, ToolCall, ToolResult
from tests.optimizer.gateway.levers.compression.agents import (
    Agent,
    ClaudeAgent,
    GeminiAgent,
    OpenAIAgent,
    ResponsesAgent,
)

LOG = "\n".join(f"2026-01-02 10:00:{n % 60:02d} INFO step {n}" for n in range(120))
ROWS = json.dumps([{"name": f"ü{n}", "value": 1.10} for n in range(60)], indent=2)
TEXTS = (LOG, ROWS, LOG + "\r\n\ud83d ERROR", "def f():\n    return 1\n" * 80, "short", "")
WIRES = {
    "anthropic": ClaudeAgent, "openai": OpenAIAgent, "openai-responses": ResponsesAgent,
    "gemini": GeminiAgent,
}  # fmt: skip


def called(agent: Agent, call_id: str) -> None:
    """Let the model call a tool, in the form of the agent's API."""
    if isinstance(agent, ClaudeAgent):
        block = {"type": "tool_use", "id": call_id, "name": "run", "input": {"n": call_id}}
        agent.turns.append({"role": "assistant", "content": [block]})
    elif isinstance(agent, OpenAIAgent):
        function = {"name": "run", "arguments": json.dumps({"n": call_id})}
        call: dict[str, Any] = {"id": call_id, "type": "function", "function": function}
        agent.turns.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif isinstance(agent, ResponsesAgent):
        call = {"type": "function_call", "call_id": call_id, "name": "run", "arguments": "{}"}
        agent.turns.append(call)
    else:
        part = {"functionCall": {"name": "run", "args": {"n": call_id}}}
        agent.turns.append({"role": "model", "parts": [part]})


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in texts_of(one)]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("restorable", [True, False], ids=["with the tool", "without it"])
@given(steps=st.lists(st.tuples(st.sampled_from(TEXTS), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=15)
def test_what_was_sent_never_changes(
    wire: str, restorable: bool, steps: list[tuple[str, bool]]
) -> None:
    """The lever is on in some turns and off in others; each turn may be on another worker."""
    agent = WIRES[wire]()
    agent.person("Go on")
    messages = [Message("user", (Text("Go on"),))]
    known: dict[str, str] = {}
    bodies, chats = [], []
    for number, (text, on) in enumerate(steps):
        called(agent, f"c{number}")
        agent.results((f"c{number}", text))
        call = ToolCall(f"c{number}", "run", json.dumps({"n": number}))
        messages.append(Message("assistant", (call,)))
        messages.append(Message("user", (ToolResult(call.id, (Text(text),)),)))
        chat = Chat(tuple(messages), source=OriginalRequest(wire, agent.body()))
        sending = Sending("a conversation", Limits(200, restorable), ShortTexts())
        if on:
            known |= sending.new_forms(chat, known)
        sent = sending.written(chat, known)
        assert sent.source is not None
        bodies.append(sent.source.body[agent.field])
        chats.append(sent.messages)
        # The client's own request is as it was.
        assert chat.source is not None
        assert sum(t == text for t in texts_of(chat.source.body[agent.field])) >= 1
        for handle, original in sending.originals.items():
            assert original in TEXTS
            if restorable:
                assert sending.original(HiddenCall("x", json.dumps({"id": handle}))) == original
                assert any(handle in t for t in texts_of(sent.source.body))
    for before, after in [*pairwise(bodies), *pairwise(chats)]:
        assert list(after[: len(before)]) == list(before)


def test_without_the_tool_nothing_is_cut() -> None:
    result = Message("user", (ToolResult("c", (Text(LOG),)),))
    chat = Chat((result, result))
    sending = Sending("a conversation", Limits(200, False), ShortTexts())
    sent = sending.written(chat, sending.new_forms(chat, {}))
    first, second = (message.parts[0] for message in sent.messages)
    assert isinstance(first, ToolResult)
    assert isinstance(second, ToolResult)
    assert first.text == LOG
    assert second.text.startswith("[The same text")
    assert not sent.tools


def test_a_copy_whose_first_one_the_client_left_out_is_sent_as_it_is() -> None:
    results = [Message("user", (ToolResult(f"c{n}", (Text(LOG),)),)) for n in range(2)]
    sending = Sending("a conversation", Limits(200, False), ShortTexts())
    forms = sending.new_forms(Chat(tuple(results)), {})
    sent = sending.written(Chat((results[1],)), forms)
    assert sent.messages == (results[1],)


def test_an_unknown_id_is_answered_alike_in_every_turn() -> None:
    chat = Chat((Message("user", (ToolResult("c", (Text(LOG),)),)),))
    sending = Sending("a conversation", Limits(200, True), ShortTexts())
    calls = [HiddenCall("x", asked) for asked in ('{"id": "0"}', "{}", "no JSON", '{"id": 7}')]
    before = {sending.original(call) for call in calls}
    sending.written(chat, sending.new_forms(chat, {}))
    assert {sending.original(call) for call in calls} == before
    assert len(before) == 1


def test_conversations_of_others_have_other_names() -> None:
    chat = Chat.of_prompt("Hi")
    owners = [("a", "s", ""), ("b", "s", ""), ("a", "t", ""), ("a", "s", "x"), ("as", "", "")]
    assert len({conversation_of(*owner, chat) for owner in owners}) == 5


def test_known_short_texts_are_bounded() -> None:
    texts = ShortTexts(most_bytes=4_000)
    for number in range(50):
        rows = ROWS.replace("ü", str(number))
        texts.short(number.to_bytes(16), rows, "json.1", "")
    assert texts._size <= 4_000 + 2 * len(ROWS)
