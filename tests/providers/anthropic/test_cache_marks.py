"""Marks for the prompt cache, where a client sets none.

Rules: https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.anthropic.cache_marks import add_cache_marks, least_cached_tokens
from providers.anthropic.request import anthropic_payload
from providers.chat import Chat, Message, OriginalRequest, Text
from providers.completion import CompletionRequest

MARK = {"type": "ephemeral"}
LONG = "many words " * 4_000
MODEL = "claude-sonnet-5-5"


def marked(body: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    result = copy.deepcopy(body)
    add_cache_marks(result, model)
    return result


def body(*turns: str, **fields: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": words} for n, words in enumerate(turns)]
    return {"messages": messages, **fields}


def count(value: Any) -> int:
    return json.dumps(value).count('"cache_control"')


def test_the_beginning_and_the_last_two_turns_are_marked() -> None:
    result = marked(body("one", "two", "three", "four", "five", system=LONG))
    assert result["system"] == [{"type": "text", "text": LONG, "cache_control": MARK}]
    places = [n for n, m in enumerate(result["messages"]) if count(m)]
    assert places == [2, 4]
    assert result["messages"][4]["content"] == [
        {"type": "text", "text": "five", "cache_control": MARK}
    ]


def test_tools_are_marked_where_there_is_no_system_prompt() -> None:
    tools = [{"name": "a", "description": LONG}, {"name": "b"}]
    result = marked(body("one", tools=tools))
    assert [count(tool) for tool in result["tools"]] == [0, 1]


def test_reasoning_and_empty_texts_are_not_marked() -> None:
    content = [{"type": "tool_result", "tool_use_id": "t", "content": LONG},
               {"type": "thinking", "thinking": "x"}, {"type": "text", "text": ""}]  # fmt: skip
    result = marked({"messages": [{"role": "user", "content": content}]})
    assert [count(block) for block in result["messages"][0]["content"]] == [1, 0, 0]


@pytest.mark.parametrize(
    "place",
    [
        {"cache_control": MARK},
        {"system": [{"type": "text", "text": LONG, "cache_control": MARK}]},
        {"tools": [{"name": "a", "cache_control": MARK}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": LONG,
                                                    "cache_control": MARK}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [
            {"type": "text", "text": LONG, "cache_control": MARK}]}]}]},
    ],
)  # fmt: skip
def test_a_client_s_own_marks_are_enough(place: dict[str, Any]) -> None:
    asked = {**body(LONG), **place}
    assert marked(asked) == asked


def test_what_is_too_short_for_the_model_is_left_alone() -> None:
    asked = body("a word " * 1_500)
    assert count(marked(asked)) == 1
    assert marked(asked, "claude-haiku-4-5") == asked
    assert (least_cached_tokens(MODEL), least_cached_tokens("claude-haiku-4-5")) == (1024, 4096)


def test_the_client_s_own_request_is_not_changed() -> None:
    own = body("one", "two", LONG, system=LONG, model="auto", max_tokens=10)
    before = copy.deepcopy(own)
    source = OriginalRequest("anthropic", own)
    chat = Chat((Message("user", (Text(LONG),)),), source=source, cache_session="k")
    assert count(anthropic_payload(CompletionRequest(MODEL, chat))) == 3
    assert own == before


def test_a_named_model_of_its_own_api_gets_the_request_as_it_came() -> None:
    own = body(LONG, system=LONG, model=MODEL, max_tokens=10)
    source = OriginalRequest("anthropic", own)
    message = Message("user", (Text(LONG),))
    named = Chat((message,), source=source, cache_session="k", chosen=False)
    assert count(anthropic_payload(CompletionRequest(MODEL, named))) == 0
    translated = Chat((message,), source=OriginalRequest("openai", {}), cache_session="k",
                      chosen=False)  # fmt: skip
    assert count(anthropic_payload(CompletionRequest(MODEL, translated))) == 1
    unwanted = Chat((message,), source=OriginalRequest("openai", {}))
    assert count(anthropic_payload(CompletionRequest(MODEL, unwanted))) == 0


ODD = st.recursive(
    st.none() | st.booleans() | st.text(max_size=9) | st.just(LONG),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@example({"system": [{"type": [], "text": LONG}, {"type": {}, "text": LONG}]})
@given(st.dictionaries(st.sampled_from(["messages", "system", "tools", "cache_control"]), ODD))
def test_whatever_is_sent_there_are_at_most_four_marks(odd: dict[str, Any]) -> None:
    result = marked(odd)
    if count(odd) == 0:
        assert count(result) <= 4
