"""What of a request changes the key of its cached answer, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.api.openai.chat_request import read_chat_query
from optimizer.domain.options import RequestOptions, chat_key


def key(**fields: Any) -> str:
    messages = [{"role": "user", "content": "Q"}]
    chat = read_chat_query({"model": "gpt-6-luna", "messages": messages, **fields}, "")[0].chat
    return chat_key(chat, RequestOptions())


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"a": "b"}, "user": "u", "safety_identifier": "u", "store": True},
        {"prompt_cache_key": "k", "cache_control": {"type": "ephemeral"}},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"n": 1, "stop": None, "temperature": None, "tools": [], "tool_choice": None},
    ],
)
def test_how_an_answer_is_delivered_and_paid_shares_it(fields: dict[str, Any]) -> None:
    assert key(**fields) == key()


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {"50256": -100}},
        {"verbosity": "low"},
        {"service_tier": "flex"},
        {"reasoning_effort": "low"},
        {"n": 2},
        {"temperature": 0},
        {"top_p": 0.5},
        {"modalities": ["text"]},
        {"prediction": {"type": "content", "content": "x"}},
        {"parallel_tool_calls": False},
        {"unknown": 0},
    ],
)
def test_what_may_change_an_answer_changes_its_key(fields: dict[str, Any]) -> None:
    assert key(**fields) != key()
