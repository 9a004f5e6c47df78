"""Where texts of people stand in a body, and placeholders that a stream cuts anywhere."""

from __future__ import annotations

import itertools
import json
import weakref
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.privacy.masking import PersonalDatum
from optimizer.gateway.guardrails.body_texts import changed_body, new_text
from optimizer.gateway.guardrails.personal_data import PersonalDataRail
from optimizer.gateway.guardrails.restoring import restored_events, restored_json
from providers.chat import Chat, Message, Text, ToolResult
from providers.events import (
    Event,
    Finished,
    Relayed,
    Started,
    TextDelta,
    ToolArguments,
    ToolCallStarted,
)

VALUES = {"<EMAIL_1>": 'a"n', "<EMAIL_12>": "bob"}


async def events_of(*events: Event) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event


async def restored(*events: Event) -> list[Event]:
    return [event async for event in restored_events(events_of(*events), VALUES)]


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(places)]


@given(
    st.lists(st.sampled_from(["<EMAIL_1>", "<EMAIL_12>", "<EMAIL_9>", "<", "a < b", "<B>", "x"])),
    st.lists(st.integers(0, 60)),
)
async def test_wherever_a_stream_is_cut_the_text_is_whole(
    words: list[str], cuts: list[int]
) -> None:
    text = "".join(words)
    given_events = await restored(
        Started(relayed=True), *map(TextDelta, pieces_of(text, cuts)), Finished("stop")
    )
    wanted = text
    for placeholder, value in VALUES.items():
        wanted = wanted.replace(placeholder, value)
    assert "".join(e.text for e in given_events if isinstance(e, TextDelta)) == wanted
    assert isinstance(given_events[-1], Finished)


async def test_arguments_stay_json_and_the_provider_s_own_messages_are_left_out() -> None:
    given_events = await restored(
        Started(relayed=True),
        ToolArguments(0, '{"to": "<EMAIL'),
        Relayed("", "{}", {}),
        ToolArguments(1, "<EMAIL_12>"),
        ToolArguments(0, '_1>"}'),
        Finished("tool_calls"),
    )
    assert given_events[0] == Started(relayed=False)
    texts: dict[int, str] = {0: "", 1: ""}
    for event in given_events:
        assert not isinstance(event, Relayed)
        if isinstance(event, ToolArguments):
            texts[event.index] += event.text
    assert texts == {0: '{"to": "a\\"n"}', 1: "bob"}


class Prompt(str):
    """A text that can be watched."""

    __slots__ = ("__weakref__",)


def test_a_text_is_searched_once_and_not_kept() -> None:
    searched: list[int] = []

    def find(text: str) -> tuple[PersonalDatum, ...]:
        searched.append(len(text))
        return (PersonalDatum(5, 11, "email"),)

    rail = PersonalDataRail(find)
    prompt = Prompt("Mail a@b.cd")
    watched = weakref.ref(prompt)
    assert rail.data_in(prompt) == rail.data_in("Mail a@b.cd") == find("Mail a@b.cd")
    assert searched == [11, 11]
    del prompt
    assert watched() is None


@given(
    st.lists(st.sampled_from(["<EMAIL_1>", "<EMAIL_9>", "<", "\\", '"', "u003c", "a", "\n"])),
    st.lists(st.integers(0, 90)),
)
async def test_brackets_that_a_server_escapes_in_arguments_are_restored(
    words: list[str], cuts: list[int]
) -> None:
    """Servers in Go write them so: https://pkg.go.dev/encoding/json#Marshal."""
    text = json.dumps({"to": "".join(words)})
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003E")
    wanted = {"to": "".join(words).replace("<EMAIL_1>", VALUES["<EMAIL_1>"])}
    given_events = await restored(
        *(ToolArguments(0, piece) for piece in pieces_of(escaped, cuts)), Finished("tool_calls")
    )
    arguments = "".join(e.text for e in given_events if isinstance(e, ToolArguments))
    if "\\<EMAIL_1>" not in "".join(words):  # which is left as it is, and is JSON
        assert json.loads(arguments) == wanted
    assert json.loads(restored_json(escaped, VALUES)) == json.loads(arguments)


async def test_arguments_that_are_no_json_have_the_values_as_they_are() -> None:
    start = ToolCallStarted(0, "c1", "write", freeform=True)
    given_events = await restored(start, ToolArguments(0, "<EMAIL_1"), ToolArguments(0, ">"))
    assert [e.text for e in given_events if isinstance(e, ToolArguments)] == ['a"n']


def test_bodies_of_all_wires_by_the_names_of_their_fields() -> None:
    body: dict[str, Any] = {
        "model": "me",
        "system": [{"type": "text", "text": "me"}],
        "user": "me",
        "metadata": {"who": "me"},
        "tools": [{"name": "me", "description": "me"}],
        "messages": [
            {"role": "user", "name": "me", "content": "me"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "me", "signature": "me"},
                {"type": "text", "text": "me"},
                {"type": "tool_use", "id": "me", "name": "me", "input": {"a": {"b": ["me"]}}},
            ]},
            {"role": "assistant", "tool_calls": [
                {"id": "me", "function": {"name": "me", "arguments": '{"a":"me"}'}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "me", "content": "me"},
                {"type": "image", "source": {"type": "base64", "data": "me"}},
                {"type": "image_url", "image_url": {"url": "me"}},
            ]},
        ],
        "input": [
            {"type": "message", "content": [{"type": "input_text", "text": "me"}]},
            {"type": "function_call_output", "call_id": "me", "output": "me"},
            {"type": "reasoning", "encrypted_content": "me", "summary": [{"text": "me"}]},
        ],
        "contents": [{"role": "me", "parts": [
            {"text": "me"},
            {"text": "me", "thought": True, "thoughtSignature": "me"},
            {"functionCall": {"name": "me", "args": {"a": "me"}}},
            {"functionResponse": {"name": "me", "response": {"a": "me"}}},
            {"inlineData": {"mimeType": "me", "data": "me"}},
        ]}],
    }  # fmt: skip
    before = repr(body)
    changed = changed_body(body, lambda text: text.replace("me", "<X_1>"))
    assert repr(body) == before
    assert repr(changed).count("<X_1>") == 13
    assert changed["tools"] is body["tools"]
    assert changed["messages"][1]["content"][0] == body["messages"][1]["content"][0]
    assert changed_body(body, lambda text: text) is body


MAIL = "ann@example.com"


def masked(body: dict[str, Any]) -> tuple[Any, str]:
    changed = changed_body(body, lambda text: text.replace(MAIL, "<EMAIL_1>"))
    return changed, json.dumps(changed)


@pytest.mark.parametrize(
    "body",
    [
        {"client_metadata": {"x-codex-turn-metadata": MAIL, "more": [{"name": MAIL}]}},
        {"made_up": MAIL},
        {"made_up": {"name": MAIL, "url": MAIL, "deep": [{"id": [MAIL]}]}},
        {"chat_template_kwargs": {"role": MAIL}},
        {"session_id": MAIL},
        {"prompt_cache_key": MAIL},
        {"stop": [MAIL]},
        {"generationConfig": {"stopSequences": [MAIL]}},
        {"plugins": [{"id": "web", "search_prompt": MAIL}]},
        {"prompt": {"id": "pmpt_1", "variables": {"name": MAIL, "role": {"text": MAIL}}}},
        {"known_speaker_names": [MAIL]},
        {"messages": [{"role": "user", "content": "Hi", "made_up": MAIL}]},
        {"messages": [{"role": "user", "content": "Hi", "user_id": MAIL}]},
        {"messages": [{"role": "user", "content": "Hi", "name": MAIL}]},
        {"messages": [{"content": [{"type": "file", "file": {"filename": MAIL}}]}]},
        {"messages": [{"content": [{
            "type": "document", "source": {"type": "text", "media_type": "a/b", "data": MAIL}
        }]}]},
        {"messages": [{"content": [{
            "type": "document",
            "source": {"type": "content", "content": [{"type": "text", "text": MAIL}]},
        }]}]},
        {"messages": [{"content": [{
            "type": "bash_code_execution_tool_result", "content": {"stdout": MAIL, "stderr": MAIL}
        }]}]},
        {"input": [{"type": "shell_call", "action": {"commands": [f"mail {MAIL}"]}}]},
        {"input": [{"type": "shell_call_output", "output": [{"stdout": MAIL, "stderr": MAIL}]}]},
        {"input": [{
            "type": "local_shell_call", "action": {"command": [MAIL], "env": {"name": MAIL}}
        }]},
        {"input": [{"type": "apply_patch_call", "operation": {"path": MAIL, "diff": MAIL}}]},
        {"input": [{"type": "code_interpreter_call", "code": MAIL, "outputs": [{"logs": MAIL}]}]},
        {"input": [{"type": "file_search_call", "queries": [MAIL], "results": [
            {"filename": MAIL, "attributes": {"name": MAIL}}
        ]}]},
        {"input": [{"type": "mcp_approval_response", "reason": MAIL}]},
        {"contents": [{"parts": [{"executableCode": {"language": "PYTHON", "code": MAIL}}]}]},
        {"contents": [{"parts": [{"fileData": {"fileUri": "gs://a", "displayName": MAIL}}]}]},
    ],
    ids=lambda body: json.dumps(body)[:40],
)  # fmt: skip
def test_texts_of_the_client_s_own_are_masked_under_any_name(body: dict[str, Any]) -> None:
    assert MAIL not in masked(body)[1]


def test_what_names_something_or_is_a_picture_is_left_alone() -> None:
    picture = f"data:image/png;base64,{MAIL}"
    body: dict[str, Any] = {
        "model": MAIL,
        "previous_response_id": MAIL,
        "tools": [{"name": MAIL}],
        "tool_choice": {"name": MAIL},
        "image": picture,
        "messages": [
            {"role": "tool", "name": MAIL, "tool_call_id": MAIL, "content": "Hi"},
            {"role": "user", "content": [{"type": "code_result", "encrypted_stdout": MAIL}]},
        ],
        "input": [
            {"type": "computer_call_output", "call_id": MAIL,
             "output": {"type": "computer_screenshot", "image_url": picture}},
            {"type": "image_generation_call", "id": MAIL, "result": MAIL},
            {"type": "function_call", "id": MAIL, "call_id": MAIL, "name": MAIL},
        ],
        "text": {"format": {"type": "json_schema", "schema": {"description": MAIL}}},
        "generationConfig": {"responseSchema": {"description": MAIL}},
    }  # fmt: skip
    assert masked(body)[0] is body


def test_only_what_came_in_last_is_new() -> None:
    chat = Chat(
        (
            Message("system", (Text("rules"),)),
            Message("user", (Text("before"),)),
            Message("assistant", (Text("answer"),)),
            Message("user", (ToolResult("c1", (Text("a result"),)), Text("and words"))),
        )
    )
    assert new_text(chat) == "a result\n\nand words"


def test_dates_in_names_of_the_provider_s_are_left_alone() -> None:
    body = {
        "models": ["claude-3-5-sonnet-20241022"],
        "fallbacks": ["gpt-4o-2024-08-06"],
        "betas": ["context-1m-2025-08-07"],
        "anthropic_beta": ["context-1m-2025-08-07"],
        "anthropic_version": "bedrock-2023-05-31",
        "search_after_date_filter": "10/10/2025",
    }
    assert changed_body(body, lambda text: "<DATE_TIME_1>") is body
