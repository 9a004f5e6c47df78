"""What of a request changes the key of its cached answer, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.api.anthropic.request import read_message_query
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.responses.request import read_response_query
from optimizer.domain.options import RequestOptions, chat_key, semantic_key
from providers.chat import Chat


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


# https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching,
# https://openrouter.ai/docs/features/prompt-caching
MARK = {"type": "ephemeral", "ttl": "1h"}
SCHEMA = {"type": "object", "properties": {"cache_control": {"type": "string"}}}


def text(words: str, mark: Any, kind: str = "text") -> dict[str, Any]:
    return {"type": kind, "text": words, **({"cache_control": mark} if mark else {})}


def of_messages(mark: Any, argument: str = "a") -> Chat:
    marked = {"cache_control": mark} if mark else {}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": argument}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("R", mark)], **marked}
    source = {"type": "content", "content": [text("D", mark)]}
    document = {"type": "document", "source": source, **marked}
    body = {
        "model": "claude-haiku-5-5", "max_tokens": 9, "system": [text("S", mark)],
        "tools": [{"name": "f", "input_schema": SCHEMA, **marked}],
        "messages": [
            {"role": "user", "content": [document, text("Q", mark)]},
            {"role": "assistant", "content": [{**call, **marked}]},
            {"role": "user", "content": [result]},
            {"role": "user", "content": [text("Q", mark)]},
        ],
    }  # fmt: skip
    return read_message_query(body, "", {}).chat


def of_chat(mark: Any, argument: str = "a") -> Chat:
    marked = {"cache_control": mark} if mark else {}
    function = {"name": "f", "parameters": SCHEMA, "description": argument}
    body = {
        "model": "gpt-6-luna",
        "messages": [
            {"role": "system", "content": "S", **marked},
            {"role": "user", "content": [text("Q", mark)]},
        ],
        "tools": [{"type": "function", "function": function, **marked}],
    }
    return read_chat_query(body, "")[0].chat


def of_responses(mark: Any, argument: str = "a") -> Chat:
    content = [text("Q", mark, "input_text")]
    items = [{"role": "user", "content": content}, {"role": "user", "content": argument}]
    return read_response_query({"model": "gpt-6-luna", "input": items}, "").chat


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("read", [of_messages, of_chat, of_responses])
def test_marks_of_the_provider_s_cache_share_an_answer(read: Any, large: bool) -> None:
    marked, plain, other = (
        chat.as_large() if large else chat for chat in (read(MARK), read(None), read(None, "b"))
    )
    assert chat_key(marked, RequestOptions()) == chat_key(plain, RequestOptions())
    assert semantic_key(marked, RequestOptions()) == semantic_key(plain, RequestOptions())
    assert chat_key(other, RequestOptions()) != chat_key(plain, RequestOptions())


@pytest.mark.parametrize("large", [False, True])
def test_what_a_client_calls_so_itself_is_no_mark(large: bool) -> None:
    """A result of a tool may be an HTTP answer's headers, as an object."""

    def of_result(value: Any) -> str:
        content = {"status": 200, "cache_control": value}
        item = {"type": "function_call_output", "call_id": "c", "output": content}
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
        asked = {"role": "user", "content": "Q"}
        chat = read_response_query({"model": "gpt-6-luna", "input": [asked, call, item]}, "").chat
        return chat_key(chat.as_large() if large else chat, RequestOptions())

    assert of_result("no-store") != of_result("max-age=60")
