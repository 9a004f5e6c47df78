"""Marks for Anthropic's prompt caches behind OpenRouter, and OpenAI's cache keys.

Rules: https://openrouter.ai/docs/features/prompt-caching (``cache_control`` in parts of messages)
and https://developers.openai.com/docs/guides/prompt-caching (``prompt_cache_key``).
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Chat, Message, OriginalRequest, Text
from providers.completion import CompletionRequest
from providers.openai.cache_marks import add_part_marks
from providers.openai.dialect import OPENAI_OWN, OPENROUTER
from providers.openai.relayed import relayed_payload
from providers.openai.request import openai_payload
from providers.openai.responses_request import responses_payload

MARK = {"type": "ephemeral"}
LONG = "many words " * 4_000
MODEL = "anthropic/claude-sonnet-5.5"


def body(*turns: str, **fields: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": words} for n, words in enumerate(turns)]
    return {"messages": [{"role": "system", "content": LONG}, *messages], **fields}


def marked(asked: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    result = copy.deepcopy(asked)
    add_part_marks(result, model)
    return result


def places(result: dict[str, Any]) -> list[int]:
    return [n for n, m in enumerate(result["messages"]) if "cache_control" in json.dumps(m)]


def test_the_system_prompt_and_the_last_two_turns_are_marked() -> None:
    result = marked(body("one", "two", "three", "four", "five"))
    assert places(result) == [0, 3, 5]
    assert result["messages"][5]["content"] == [
        {"type": "text", "text": "five", "cache_control": MARK}
    ]


def test_a_version_with_a_dot_has_its_own_minimum() -> None:
    asked = body("one", "two", "three")
    asked["messages"][0]["content"] = "many words " * 800
    assert marked(asked) != asked
    assert marked(asked, "anthropic/claude-opus-4.5") == asked


def test_results_of_tools_are_turns() -> None:
    asked = body("one", "two")
    asked["messages"].append({"role": "tool", "tool_call_id": "t", "content": "done"})
    assert places(marked(asked)) == [0, 1, 3]


def test_other_models_short_prompts_and_own_marks_stay() -> None:
    asked = body("one")
    assert marked(asked, "google/gemini-3.8-pro") == asked
    short = {"messages": [{"role": "user", "content": "hello"}]}
    assert marked(short) == short
    asked["messages"][1]["content"] = [{"type": "text", "text": "x", "cache_control": MARK}]
    assert marked(asked) == asked


TEXTS = st.text(max_size=5) | st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"]), "text": st.text()})
    | st.none(),
    max_size=3,
)
MESSAGES = st.lists(
    st.fixed_dictionaries({
        "role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXTS,
    }) | st.none(),
    max_size=6,
)  # fmt: skip


@given(MESSAGES)
def test_any_messages_get_at_most_four_marks_and_lose_nothing(messages: list[Any]) -> None:
    asked = {"messages": [{"role": "user", "content": LONG}, *messages]}
    result = marked(asked)
    assert json.dumps(result).count('"cache_control"') <= 4

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k != "cache_control"}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value

    for before, after in zip(asked["messages"], result["messages"], strict=True):
        kept = plain(after)
        if before != kept:
            assert kept["content"] == [{"type": "text", "text": before["content"]}]


def request(wire: str, *, chosen: bool, **fields: Any) -> CompletionRequest:
    source = OriginalRequest(wire, {"messages": body("one")["messages"], "input": "one", **fields})
    messages = (Message("system", (Text(LONG),)), Message("user", (Text("one"),)))
    chat = Chat(messages, source=source, cache_session="key", chosen=chosen)
    return CompletionRequest(MODEL, chat)


def test_a_conversation_through_openrouter_is_marked_unless_it_came_so() -> None:
    chosen = request("openai", chosen=True)
    assert places(relayed_payload(chosen, dialect=OPENROUTER)) == [0, 1]
    named = request("openai", chosen=False)
    assert places(relayed_payload(named, dialect=OPENROUTER)) == []
    translated = request("anthropic", chosen=False)
    assert places(openai_payload(translated, dialect=OPENROUTER)) == [0, 1]
    off = replace(translated, chat=replace(translated.chat, cache_session=""))
    assert places(openai_payload(off, dialect=OPENROUTER)) == []


@pytest.mark.parametrize("chosen", [True, False])
def test_openai_gets_a_key_unless_the_client_set_one(chosen: bool) -> None:
    asked = request("openai", chosen=chosen)
    assert relayed_payload(asked, dialect=OPENAI_OWN)["prompt_cache_key"] == "key"
    assert responses_payload(asked)["prompt_cache_key"] == "key"
    own = request("openai", chosen=chosen, prompt_cache_key="mine")
    assert relayed_payload(own, dialect=OPENAI_OWN)["prompt_cache_key"] == "mine"
    assert responses_payload(own)["prompt_cache_key"] == "mine"


def test_nothing_but_the_key_is_added_to_what_came_so() -> None:
    asked = request("responses", chosen=False, odd={"kept": [1]})
    source = asked.chat.source
    assert source is not None
    sent = responses_payload(asked)
    assert sent == {**source.body, "model": MODEL, "prompt_cache_key": "key"}
    off = replace(asked, chat=replace(asked.chat, cache_session=""))
    assert responses_payload(off) == {**source.body, "model": MODEL}
