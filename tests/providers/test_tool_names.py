"""Names of tools fit for each provider, and come back as the client gave them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Chat, Message, Text, Tool, ToolCall, ToolChoice
from providers.tool_names import ToolNames

LONG = "mcp__ymir-privileged__get_failed_pipeline_jobs_from_merge_request_ab"


def chat_with(*names: str) -> Chat:
    return Chat(
        (Message("user", (Text("Hello"),)),),
        tools=tuple(Tool(name) for name in dict.fromkeys(names)),
    )


def test_a_name_that_fits_is_unchanged() -> None:
    names = ToolNames(chat_with("get_weather"))

    assert not names
    assert names.outer("get_weather") == names.inner("get_weather") == "get_weather"


def test_a_long_name_is_shortened_and_restored() -> None:
    names = ToolNames(chat_with(LONG))
    outer = names.outer(LONG)

    assert len(outer) == 64
    assert outer.startswith("mcp__ymir-privileged__get_failed")
    assert names.inner(outer) == LONG


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, other = "a" * 100 + "1", "a" * 100 + "2"
    names = ToolNames(chat_with(one, other))

    assert names.outer(one) != names.outer(other)


def test_the_names_of_past_calls_and_of_the_choice_are_the_same_as_those_of_the_tools() -> None:
    call = Message("assistant", (ToolCall("1", LONG, "{}"),))
    later = Chat((call,), tool_choice=ToolChoice("named", "a.b"))

    names = ToolNames(later)

    assert names.outer(LONG) == ToolNames(chat_with(LONG)).outer(LONG)
    assert names.inner(names.outer("a.b")) == "a.b"


def test_a_digit_at_the_start_is_mended_where_a_letter_is_needed() -> None:
    names = ToolNames(chat_with("2fa"), letter_first=True)

    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]*", names.outer("2fa"))
    assert ToolNames(chat_with("2fa")).outer("2fa") == "2fa"


@given(st.lists(st.text(max_size=150), min_size=1, max_size=6))
def test_every_name_fits_and_comes_back(given_names: list[str]) -> None:
    names = ToolNames(chat_with(*given_names), most=64)

    for name in given_names:
        outer = names.outer(name)
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", outer)
        assert names.inner(outer) == name


def test_a_prefix_that_a_model_invents_is_taken_off() -> None:
    # https://github.com/mastra-ai/mastra/issues/12895, https://github.com/tya5/reyn/issues/1989
    names = ToolNames(chat_with("view", LONG, "a.b"))
    assert names.inner("default_api:view") == names.inner("default_api.view") == "view"
    assert names.inner("google:view") == "view"
    assert names.inner(f"default_api.{names.outer(LONG)}") == LONG
    assert names.inner(names.outer("a.b")) == "a.b"
    assert names.inner("default_api.other") == "default_api.other"
    assert ToolNames(Chat.of_prompt("Hello")).inner("a:b") == "a:b"
