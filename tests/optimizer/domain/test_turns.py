"""The kind of turn, by what each agent sends.

The shapes are those of Claude Code 2.1.332, Codex 0.171.0, Gemini CLI 0.61.0 and opencode
1.18.33; the texts are shortened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.api.anthropic.request import read_message_query
from optimizer.api.gemini.request_reader.query import read_generate_query
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.responses.request import read_response_query
from optimizer.domain.identifiers import Session, session_of
from optimizer.domain.turns import KINDS, kind_of_turn
from providers.chat import Chat, JsonOutput, Message, Text

ID = "40d122e5-3afc-41fe-a1b3-cf5978a36b9c"
CLAUDE = {"user-agent": "claude-cli/2.1.332 (external, cli)", "x-claude-code-session-id": ID}
CODEX = {"user-agent": "codex_exec/0.171.0 (Debian 12.0.0)", "session-id": ID, "thread-id": ID}
GEMINI = {"user-agent": "GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)"}
OPENCODE = {"user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.23", "x-session-id": ID}
BASH = {"name": "Bash", "input_schema": {"type": "object"}}
READ = {"name": "Read", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}


def kind(chat: Chat, headers: Mapping[str, str]) -> str:
    def header(name: str) -> str:
        return headers.get(name, "")

    return kind_of_turn(chat, session_of(chat, header), header)


def messages(*turns: dict[str, Any], **fields: Any) -> Chat:
    body = {"model": "claude-sonnet-5-5", "max_tokens": 32000, "messages": list(turns), **fields}
    return read_message_query(body, "").chat


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


CALL = {"role": "assistant", "content": [
    {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}]}  # fmt: skip
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "hello.txt"}
REMINDER = text("<system-reminder>\nAs you answer, use this context.\n</system-reminder>")
MAIN = {"system": [text("You are a Claude agent.")], "tools": [BASH, READ]}


class TestClaudeCode:
    @pytest.mark.parametrize(
        ("chat", "headers", "expected"),
        [
            (messages(user(REMINDER, text("list the files")), **MAIN), {}, "human"),
            (messages(user(text("go")), CALL, user(RESULT), **MAIN), {}, "tool_result"),
            (messages(user(text("go")), CALL, user(RESULT, REMINDER), **MAIN), {}, "tool_result"),
            (messages(user(text("go")), CALL, user(RESULT, text("stop it")), **MAIN), {}, "human"),
            (
                messages(user(text("search"), REMINDER), **MAIN),
                {"x-claude-code-agent-id": "a1b2"},
                "sub_agent",
            ),
            (
                messages(user(text("go")), CALL, user(RESULT), **MAIN),
                {"x-claude-code-agent-id": "a1b2", "x-claude-code-request-class": "subagent"},
                "sub_agent",
            ),
            (messages(user(text("quota")), max_tokens=1), {}, "probe"),
            (
                messages(user(text("fix the login")), system=[text("Write a title.")]),
                {
                    "x-claude-code-request-class": "auxiliary",
                    "x-claude-code-auxiliary-type": "generate_session_title",
                },
                "title",
            ),
            (
                messages(
                    user(text("fix the login")),
                    system=[text("Write a title.")],
                    output_config={
                        "format": {
                            "type": "json_schema",
                            "schema": {
                                "type": "object",
                                "properties": {"title": {"type": "string"}},
                                "required": ["title"],
                                "additionalProperties": False,
                            },
                        }
                    },
                ),
                {},
                "title",
            ),
            (
                messages(
                    user(text("fix it")), CALL,
                    user(RESULT, text(
                        "Your task is to create a detailed summary of the conversation so far, "
                        "paying close attention to the user's explicit requests.")),
                    system=[text("You are a helpful AI assistant tasked with summarizing "
                                 "conversations.")],
                ),
                {},
                "compaction",
            ),
            (
                messages(user(text("go")), **MAIN),
                {"x-claude-code-compaction": "auto"},
                "compaction",
            ),
            (
                messages(
                    user(text("Bash: rm -rf build")),
                    system=[text("You are a security monitor for autonomous AI coding agents.")],
                ),
                {},
                "classification",
            ),
        ],
    )  # fmt: skip
    def test_each_of_its_requests_is_known(
        self, chat: Chat, headers: dict[str, str], expected: str
    ) -> None:
        assert kind(chat, CLAUDE | headers) == expected

    def test_a_person_who_quotes_an_instruction_is_a_person(self) -> None:
        words = 'Explain "You are performing a CONTEXT CHECKPOINT COMPACTION" to me'
        assert kind(messages(user(text(words)), **MAIN), CLAUDE) == "human"


def item(role: str, words: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": words}]}


def responses(*items: Any, **fields: Any) -> Chat:
    body = {"model": "gpt-6.1-terra", "stream": True, "store": False, "input": list(items)}
    return read_response_query({**body, **fields}, "").chat


SHELL = [{"type": "custom", "name": "exec", "description": "Run code."}]
EXECUTED = (
    {"type": "custom_tool_call", "call_id": "call_1", "name": "exec", "input": "ls"},
    {"type": "custom_tool_call_output", "call_id": "call_1", "output": "hello.txt"},
)
BEGINNING = (
    item("developer", "You are Codex."),
    item("user", "<environment_context>\n  <cwd>/home</cwd>\n</environment_context>"),
    item("user", "list the files"),
)


def metadata(**fields: str) -> dict[str, str]:
    return {"x-codex-turn-metadata": json.dumps({"session_id": ID, **fields})}


class TestCodex:
    @pytest.mark.parametrize(
        ("chat", "headers", "expected"),
        [
            (responses(*BEGINNING, tools=SHELL), metadata(request_kind="turn"), "human"),
            (responses(*BEGINNING, *EXECUTED, tools=SHELL), {}, "tool_result"),
            (
                responses(
                    *BEGINNING, *EXECUTED,
                    item("user", "<environment_context>\n<cwd>/</cwd>\n</environment_context>"),
                    tools=SHELL,
                ),
                {},
                "tool_result",
            ),
            (responses(*BEGINNING), metadata(request_kind="compaction"), "compaction"),
            (
                responses(*BEGINNING, item("user", "You are performing a CONTEXT CHECKPOINT "
                                                   "COMPACTION. Create a handoff summary.")),
                {},
                "compaction",
            ),
            (responses(*BEGINNING), {"x-openai-subagent": "memory_consolidation"}, "summary"),
            (responses(*BEGINNING), metadata(request_kind="prewarm"), "probe"),
            (
                responses(*BEGINNING, tools=SHELL),
                {"thread-id": "child", "x-codex-parent-thread-id": ID,
                 "x-openai-subagent": "collab_spawn"},
                "sub_agent",
            ),
        ],
    )  # fmt: skip
    def test_each_of_its_requests_is_known(
        self, chat: Chat, headers: dict[str, str], expected: str
    ) -> None:
        assert kind(chat, CODEX | headers) == expected

    @pytest.mark.parametrize("odd", ["[", "[]", "null", '{"request_kind": 3}', "{}"])
    def test_odd_metadata_is_no_error(self, odd: str) -> None:
        headers = CODEX | {"x-codex-turn-metadata": odd}
        assert kind(responses(*BEGINNING), headers) == "human"


def generate(*contents: dict[str, Any], **fields: Any) -> Chat:
    body = {"contents": list(contents), **fields}
    return read_generate_query(body, "gemini-3.8-flash", "").chat


def content(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": p} if isinstance(p, str) else p for p in parts]}


CONTEXT = "<session_context>\nThis is the Gemini CLI.\n</session_context>"
TOOLS = [{"functionDeclarations": [{"name": "run_shell_command"}, {"name": "read_file"}]}]
FUNCTION_CALL = {"functionCall": {"name": "run_shell_command", "args": {"command": "ls"}}}
FUNCTION_RESPONSE = {"functionResponse": {"name": "run_shell_command", "response": {"output": "x"}}}


class TestGeminiCli:
    @pytest.mark.parametrize(
        ("chat", "expected"),
        [
            (generate(content("user", CONTEXT, "list the files"), tools=TOOLS), "human"),
            (
                generate(
                    content("user", CONTEXT, "list the files"), content("model", FUNCTION_CALL),
                    content("user", FUNCTION_RESPONSE), tools=TOOLS,
                ),
                "tool_result",
            ),
            (
                generate(
                    content("user", CONTEXT), content("user", "list the files"),
                    systemInstruction={"parts": [{"text": "\nYou are a specialized Task Routing "
                                                          "AI. Your sole function is …"}]},
                ),
                "classification",
            ),
            (
                generate(
                    content("user", "a"), content("model", "b"), content("user", "go"),
                    systemInstruction={"parts": [{"text": "\nYou are a specialized system component"
                                                          " responsible for distilling chat history"
                                                          " into a structured XML"}]},
                ),
                "compaction",
            ),
            (
                generate(content("user", "Summarize the user's primary intent or goal in this "
                                         "conversation in ONE sentence")),
                "summary",
            ),
        ],
    )  # fmt: skip
    def test_each_of_its_requests_is_known(self, chat: Chat, expected: str) -> None:
        assert kind(chat, GEMINI) == expected


def completions(*turns: dict[str, Any], **fields: Any) -> Chat:
    body = {"model": "auto", "max_tokens": 16000, "messages": list(turns), **fields}
    return read_chat_query(body, "")[0].chat


SYSTEM = {"role": "system", "content": "You are opencode, an interactive CLI tool."}
WORDS = {"role": "user", "content": "list the files"}
CALLED = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}]}  # fmt: skip
RAN = {"role": "tool", "tool_call_id": "c1", "content": "hello.txt"}


class TestOpencode:
    @pytest.mark.parametrize(
        ("chat", "headers", "expected"),
        [
            (completions(SYSTEM, WORDS, tools=[FUNCTION]), {}, "human"),
            (completions(SYSTEM, WORDS, CALLED, RAN, tools=[FUNCTION]), {}, "tool_result"),
            (
                completions(
                    {"role": "system", "content": "You are a title generator. You output ONLY a "
                                                  "thread title. Nothing else."},
                    {"role": "user", "content": "Generate a title for this conversation:\n"},
                    WORDS,
                ),
                {},
                "title",
            ),
            (
                completions({"role": "system", "content": "You are a context summarization agent."},
                            WORDS),
                {},
                "compaction",
            ),
            (
                completions({"role": "system", "content": "Summarize what was done in this "
                                                          "conversation. Write like a pull request "
                                                          "description."}, WORDS),
                {},
                "summary",
            ),
            (
                completions(SYSTEM, WORDS, tools=[FUNCTION]),
                {"x-session-id": "ses_child", "x-parent-session-id": ID},
                "sub_agent",
            ),
        ],
    )  # fmt: skip
    def test_each_of_its_requests_is_known(
        self, chat: Chat, headers: dict[str, str], expected: str
    ) -> None:
        assert kind(chat, OPENCODE | headers) == expected


class TestOtherClients:
    def test_a_conversation_of_a_person(self) -> None:
        assert kind(completions(WORDS), {}) == "human"
        assert kind(completions(WORDS, CALLED, RAN, tools=[FUNCTION]), {}) == "tool_result"

    def test_no_words_of_theirs_make_it_a_side_request(self) -> None:
        chat = completions({"role": "system", "content": "You are a title generator."}, WORDS)
        assert kind(chat, {}) == "human"

    def test_a_prefilled_answer_is_neither(self) -> None:
        assert kind(completions(WORDS, {"role": "assistant", "content": "Well,"}), {}) == "other"


@given(
    st.lists(
        st.builds(
            Message,
            st.sampled_from(["system", "user", "assistant"]),
            st.lists(st.builds(Text, st.text()), max_size=3).map(tuple),
        ),
        max_size=6,
    ),
    st.sampled_from(["claude-code", "codex", "gemini-cli", "opencode", "chat"]),
    st.none() | st.dictionaries(st.text(), st.text() | st.lists(st.text())),
    st.dictionaries(
        st.sampled_from([
            "x-claude-code-auxiliary-type", "x-codex-turn-metadata", "x-openai-subagent",
            "x-claude-code-request-class",
        ]),
        st.text(),
    ),
)  # fmt: skip
def test_every_request_has_one_kind(
    turns: list[Message], agent: str, schema: Any, headers: dict[str, str]
) -> None:
    chat = Chat(tuple(turns), output=None if schema is None else JsonOutput(schema))
    assert kind_of_turn(chat, Session("x", agent), lambda n: headers.get(n, "")) in KINDS
