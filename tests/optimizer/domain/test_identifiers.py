"""Which run of an agent, or which conversation, a request belongs to.

The headers and fields are those that Claude Code 2.1.332, Codex 0.171.0, Gemini CLI 0.61.0 and
opencode 1.18.33 send.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain.identifiers import Session, session_of
from providers.chat import Chat, Message, OriginalRequest, Text

ID = "89e97c2e-0c9c-41ef-9e4e-1e157edc86de"


def chat(*texts: str, body: Mapping[str, Any] | None = None, system: str = "") -> Chat:
    turns = [
        Message("assistant" if number % 2 else "user", (Text(text),))
        for number, text in enumerate(texts or ("hello",))
    ]
    if system:
        turns.insert(0, Message("system", (Text(system),)))
    return Chat(tuple(turns), source=OriginalRequest("openai", body or {}))


def session(
    asked: Chat, headers: Mapping[str, str] | None = None, *, own: str = "", key: str = ""
) -> Session:
    return session_of(asked, lambda name: (headers or {}).get(name, ""), own=own, key=key)


@pytest.mark.parametrize(
    ("headers", "agent"),
    [
        (
            {
                "user-agent": "claude-cli/2.1.332 (external, sdk-cli)",
                "x-claude-code-session-id": ID,
            },
            "claude-code",
        ),
        (
            {
                "user-agent": "codex_exec/0.171.0 (Debian 12.0.0; x86_64) dumb",
                "session-id": ID,
                "thread-id": ID,
            },
            "codex",
        ),
        ({"user-agent": "codex_cli_rs/0.98.0", "session_id": ID}, "codex"),
        (
            {
                "user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.23",
                "x-session-id": ID,
                "x-session-affinity": ID,
            },
            "opencode",
        ),
        ({"user-agent": "something/1", "x-session-id": ID}, "chat"),
    ],
)
def test_agents_send_the_id_of_a_run_in_a_header(headers: dict[str, str], agent: str) -> None:
    assert session(chat(), headers) == Session(ID, agent)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {
                "user-agent": "claude-cli/2.1.332 (external, cli)",
                "x-claude-code-session-id": ID,
                "x-claude-code-agent-id": "a1",
            },
            Session(ID, "claude-code", "a1"),
        ),
        (
            {
                "user-agent": "claude-cli/2.1.332 (external, cli)",
                "x-claude-code-session-id": ID,
                "x-claude-code-agent-id": "a2",
                "x-claude-code-parent-agent-id": "a1",
            },
            Session(ID, "claude-code", "a2", "a1"),
        ),
        (
            {
                "user-agent": "codex_cli_rs/0.171.0",
                "session-id": ID,
                "thread-id": "child",
                "x-codex-parent-thread-id": ID,
            },
            Session(ID, "codex", "child"),
        ),
        (
            {
                "user-agent": "codex_cli_rs/0.171.0",
                "session-id": ID,
                "thread-id": "grandchild",
                "x-codex-parent-thread-id": "child",
            },
            Session(ID, "codex", "grandchild", "child"),
        ),
        (
            {
                "user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.23",
                "x-session-id": "ses_child",
                "x-parent-session-id": ID,
            },
            Session(ID, "opencode", "ses_child"),
        ),
    ],
)
def test_sub_agents_belong_to_the_session_that_started_them(
    headers: dict[str, str], expected: Session
) -> None:
    assert session(chat(), headers) == expected


def test_an_answer_that_is_gone_on_from_shows_the_session_where_nothing_else_does() -> None:
    assert session_of(chat(), lambda _: "", continued="before").id == "before"
    body = {"prompt_cache_key": ID}
    assert session_of(chat(body=body), lambda _: "", continued="before").id == ID


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"session_id": ID}},
        {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": ID})}},
        {"metadata": {"user_id": f"user_0a1b_account__session_{ID}"}},
        {"client_metadata": {"session_id": ID, "turn_id": "t"}, "prompt_cache_key": "other"},
        {"session_id": ID},
        {"conversation": ID},
        {"conversation": {"id": ID}},
        {"prompt_cache_key": ID},
    ],
)
def test_a_field_of_the_request_shows_the_session(body: dict[str, Any]) -> None:
    assert session(chat(body=body)).id == ID


def test_our_own_field_wins_and_the_agent_is_still_known() -> None:
    headers = {"user-agent": "claude-cli/2", "x-claude-code-session-id": ID}
    assert session(chat(), headers, own="mine") == Session("mine", "claude-code")


def test_without_an_id_a_conversation_is_known_by_its_beginning() -> None:
    first = session(chat("a", system="s")).id
    assert first.startswith("chat-")
    assert session(chat("a", "b", "c", system="s")).id == first
    others = [chat("b", system="s"), chat("a", system="t"), chat("a")]
    assert len({first, *(session(other).id for other in others)}) == 4


def test_conversations_of_two_keys_are_two_sessions() -> None:
    assert session(chat(), key="one").id != session(chat(), key="two").id


def test_gemini_cli_is_known_though_it_sends_no_id() -> None:
    agent = {"user-agent": "GeminiCLI-tui/0.61.0/gemini-3.8-flash (linux; x64; terminal)"}
    assert session(chat(), agent).agent == "gemini-cli"


def test_all_that_gemini_cli_asks_about_a_conversation_is_one_session() -> None:
    agent = {"user-agent": "GeminiCLI-tui/0.61.0/gemini-3.8-flash (linux; x64; terminal)"}
    context, words = Text("<session_context>a folder</session_context>"), Text("list the files")
    classified = Chat(
        (
            Message("system", (Text("You route tasks."),)),
            Message("user", (context,)),
            Message("user", (words,)),
        )
    )
    answered = Chat((Message("user", (context, words)), Message("assistant", (Text("ok"),))))
    assert session(classified, agent) == session(answered, agent)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = ["metadata", "client_metadata", "session_id", "conversation", "prompt_cache_key"]


@given(
    st.dictionaries(st.sampled_from(FIELDS), ODD | st.fixed_dictionaries({"user_id": ODD})),
    st.text(),
    st.dictionaries(st.sampled_from(["user-agent", "x-session-id", "session-id"]), st.text()),
)
def test_whatever_a_client_sends_there_is_an_id_that_can_be_stored(
    body: dict[str, Any], text: str, headers: dict[str, str]
) -> None:
    result = session(chat(text, body=body), headers)
    assert 0 < len(result.id) <= 128
    assert "\0" not in result.id
    result.id.encode()
