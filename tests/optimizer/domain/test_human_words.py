"""What a person wrote, without what agents put around it."""

from __future__ import annotations

import time

import pytest

from optimizer.domain.human_words import human_words
from optimizer.domain.request import GatewayRequest, prompt_of
from providers.chat import Chat, Message, Text, ToolCall, ToolResult
from tests.routing.catalogue import EASY, HARD

REMINDER = f"<system-reminder>\n{HARD}\n</system-reminder>"
CODEX = f"# AGENTS.md instructions for /work\n\n<INSTRUCTIONS>\n{HARD}\n</INSTRUCTIONS>"
ENVIRONMENT = "<environment_context>\n  <cwd>/work</cwd>\n</environment_context>"
GEMINI = f"This is the Gemini CLI. We are setting up the context for our chat.\n{HARD}"
SESSION = f"<session_context>\n{GEMINI}\n</session_context>"
IDE = f"# Context from my IDE setup:\n\n## Open tabs:\n- a.py\n\n## My request for Codex:\n{EASY}\n"


def user(*texts: str) -> Message:
    return Message("user", tuple(map(Text, texts)))


def request_of(*messages: Message) -> GatewayRequest:
    chat = Chat(messages)
    return GatewayRequest(chat=chat, prompt=prompt_of(chat), cache_key="")


@pytest.mark.parametrize(
    "text",
    [REMINDER, CODEX, ENVIRONMENT, GEMINI, SESSION, f"{REMINDER}\n\n{ENVIRONMENT}\n",
     "<user_instructions>\nBe brief.\n</user_instructions>", "<env>\nPlatform: linux\n</env>",
     "<command-name>/clear</command-name> <command-message>clear</command-message>",
     "<local-command-stdout>Set model</local-command-stdout>"],
)  # fmt: skip
def test_context_holds_no_words_of_a_person(text: str) -> None:
    assert human_words(text) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{REMINDER}\n{EASY}", EASY),
        (f"{EASY}\n\n{REMINDER}\n", EASY),
        (f"{CODEX}\n{ENVIRONMENT}\n{EASY}", EASY),
        (f"<user_query>\n{EASY}\n</user_query>", EASY),
        ("<command-name>/fix</command-name>\n<command-args>the bug</command-args>", "the bug"),
        (f"<task>\n{EASY}\n</task>\n<environment_details>\n# Time\n</environment_details>", EASY),
        (IDE, EASY),
    ],
)
def test_what_is_around_the_words_is_left_out(text: str, words: str) -> None:
    assert human_words(text) == words


@pytest.mark.parametrize(
    "text",
    [
        EASY,
        " spaces stay ",
        "What does <system-reminder> mean?",
        "Explain `<env>a</env>` in this file.",
        "<system-reminder> is never closed",
        "<div>\n<b>Fix my page</b>\n</div>",
        "if a < b and c > d: pass",
        "# AGENTS.md instructions are what?",
    ],
)
def test_what_a_person_wrote_stays_as_it_is(text: str) -> None:
    assert human_words(text) == text


def test_a_wrapped_prompt_is_weighed_like_the_plain_one() -> None:
    wrapped = request_of(user(REMINDER, CODEX, EASY))
    plain = request_of(user(EASY))
    assert wrapped.prompt == plain.prompt == EASY
    one, other = wrapped.analyze(), plain.analyze()
    assert (one.complexity, one.tier, one.pattern) == (other.complexity, other.tier, other.pattern)
    # All of it is sent, so all of it counts as input.
    assert one.token_count > other.token_count + len(HARD) // 4


def test_a_turn_of_tool_results_goes_on_with_the_last_words_of_a_person() -> None:
    messages = (
        user(REMINDER, HARD),
        Message("assistant", (ToolCall("1", "read", "{}"),)),
        Message("user", (ToolResult("1", (Text(EASY),)), Text(REMINDER.replace(HARD, "Hm.")))),
    )
    request = request_of(*messages)
    assert request.prompt == HARD
    assert request.analyze().tier == "complex"


def test_where_people_wrote_nothing_the_last_text_counts() -> None:
    assert request_of(user(REMINDER)).prompt == REMINDER
    assert request_of(Message("system", (Text("x"),))).prompt == ""
    assert request_of(user(REMINDER)).analyze().tier == "complex"


@pytest.mark.parametrize(
    "unit", ["<env>", "<system-reminder>\n", "<", "</env>", "<env>\n</env>\n", "<a b", "\n<task>"]
)
def test_megabytes_of_tags_take_linear_time(unit: str) -> None:
    started = time.process_time()
    human_words(unit * (2_000_000 // len(unit)))
    assert time.process_time() - started < 10
