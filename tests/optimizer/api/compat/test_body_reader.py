"""Whatever a client sends is read or refused by name; nothing else ever happens."""

from __future__ import annotations

import codecs
import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.models import RequestRecord
from optimizer.api.anthropic.request import read_message_query
from optimizer.api.compat.extensions import read_cache_control
from optimizer.api.http.body_reader import InvalidField
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.responses.request import read_response_query
from optimizer.domain.options import CacheControl, chat_key, semantic_key
from optimizer.gateway.chat_requests import ChatQuery
from providers import features
from providers.anthropic.request import anthropic_payload
from providers.completion import CompletionRequest
from providers.gemini.request import gemini_payload
from providers.openai.relayed import relayed_payload
from providers.openai.request import openai_payload

READERS: dict[str, Callable[[Any], ChatQuery]] = {
    "chat": lambda body: read_chat_query(body, "")[0],
    "responses": lambda body: read_response_query(body, ""),
    "messages": lambda body: read_message_query(body, ""),
}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}
RICH: dict[str, dict[str, Any]] = {
    "chat": {
        "model": "auto", "stream": True, "stream_options": {"include_usage": True},
        "messages": [
            {"role": "developer", "content": "Rules."},
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Q"}, IMAGE]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c", "content": "42"},
        ],
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {
            "type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}},
        },
        "temperature": 0.5, "top_p": 0.5, "max_tokens": 5, "max_completion_tokens": 6, "n": 2,
        "stop": ["x"], "seed": 1, "logprobs": True, "top_logprobs": 2, "logit_bias": {"1": 2},
        "user": "u", "presence_penalty": 0.1, "frequency_penalty": 0.1, "metadata": {"a": "b"},
        "optimizer": {
            "quality_target": 0.5, "max_cost": 1, "baseline": "b", "tags": ["t"],
            "session_id": "s", "cache_ttl": 5, "read_only_tools": ["f"], "semantic_cache": False,
        },
    },
    "responses": {
        "model": "auto", "instructions": "Rules.", "max_output_tokens": 5,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Q"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "42"},
        ],
        "tools": [{"type": "function", **FUNCTION}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low"}, "top_logprobs": 2, "stream_options": {},
    },
    "messages": {
        "model": "auto", "max_tokens": 5, "system": [{"type": "text", "text": "Rules."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Q"},
                    {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result", "tool_use_id": "c", "is_error": True,
                        "content": [{"type": "text", "text": "42"}],
                    }
                ],
            },
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "temperature": 0.5, "top_p": 0.5, "top_k": 5, "stop_sequences": ["x"],
        "metadata": {"user_id": "u"}, "thinking": {"type": "disabled"},
    },
}  # fmt: skip

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within ``value``."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def spelt(query: ChatQuery) -> None:
    """Whatever was read can be keyed, weighed and written on every wire."""
    chat = query.chat
    assert len(chat_key(chat, query.options)) == 64
    assert len(semantic_key(chat, query.options)) in (0, 64)
    assert chat.estimated_tokens() >= 0
    features.needs(chat)
    request = CompletionRequest("m", chat)
    assert chat.source is not None
    write = relayed_payload if chat.source.wire == "openai" else openai_payload
    for payload in (write(request), anthropic_payload(request), gemini_payload(chat)):
        json.dumps(payload)


@pytest.mark.parametrize("wire", READERS)
def test_everything_that_the_wire_has_is_read(wire: str) -> None:
    query = READERS[wire](copy.deepcopy(RICH[wire]))
    spelt(query)
    assert query.chat.last_words == "Q"
    assert query.chat.system == "Rules."
    assert [tool.name for tool in query.chat.tools] == ["f"]
    assert query.chat.tool_choice.mode == "named"
    assert query.chat.output is not None


@pytest.mark.parametrize("wire", READERS)
@given(data=st.data())
def test_a_body_spoilt_anywhere_is_read_or_refused(wire: str, data: st.DataObject) -> None:
    body = copy.deepcopy(RICH[wire])
    *path, last = data.draw(st.sampled_from(places(body)))
    holder = body
    for key in path:
        holder = holder[key]
    if data.draw(st.booleans()):
        holder[last] = data.draw(junk)
    else:
        del holder[last]
    try:
        query = READERS[wire](body)
    except InvalidField as error:
        refused = error
        assert refused.param
    else:
        spelt(query)


@pytest.mark.parametrize("wire", READERS)
@given(body=junk)
def test_junk_is_refused(wire: str, body: Any) -> None:
    with pytest.raises(InvalidField):
        READERS[wire](body)


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("", CacheControl()),
        ("no-store", CacheControl(no_store=True)),
        ("No-Cache, max-age=60", CacheControl(no_cache=True, max_age=60)),
        ('max-age="5"', CacheControl(max_age=5)),
        ("only-if-cached", CacheControl(only_if_cached=True)),
        ("max-age=soon, max-stale, =, ,", CacheControl()),
        ("max-age=-1", CacheControl()),
        ("max-age=" + "9" * 5000, CacheControl()),
        ("max-age=²", CacheControl()),
    ],
)
def test_cache_control(header: str, meant: CacheControl) -> None:
    assert read_cache_control(header) == meant


@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages", "embeddings"])
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"model":' + b"[" * 900 + b"]" * 900 + b"}", "application/json", 400),
        (b"model=auto", "application/x-www-form-urlencoded", 415),
    ],
    ids=["cut off", "no text", "array", "empty", "deep", "just too deep", "form"],
)
async def test_hostile_bytes(
    client: httpx.AsyncClient, path: str, content: bytes, kind: str, status: int
) -> None:
    response = await client.post(f"/v1/{path}", content=content, headers={"content-type": kind})
    assert response.status_code == status
    error = response.json()["error"]
    assert error["message"]
    assert error["type"] == "invalid_request_error"


async def test_a_byte_order_mark_is_no_part_of_the_body(client: httpx.AsyncClient) -> None:
    body = codecs.BOM_UTF8 + json.dumps({"prompt": "Hi"}).encode()
    response = await client.post(
        "/complete", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 200


async def test_text_that_no_database_holds_is_made_storable(client: httpx.AsyncClient) -> None:
    bad = "a\x00b\ud800c"
    body = {
        "model": "auto", "user": bad, "messages": [{"role": "user", "content": bad}],
        "optimizer": {"tags": [bad], "session_id": bad},
    }  # fmt: skip
    response = await client.post(
        "/v1/chat/completions",
        content=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 200, response.text
    record = await RequestRecord.objects.aget()
    assert record.prompt == record.user_id == record.session_id == record.tags[0] == "a�b�c"


async def test_another_method_is_refused_in_the_api_s_shape(client: httpx.AsyncClient) -> None:
    for path, kind in (("chat/completions", "invalid_request_error"),):
        response = await client.get(f"/v1/{path}")
        assert response.status_code == 405
        assert response.json()["error"]["type"] == kind
    response = await client.get("/v1/messages")
    assert response.json()["type"] == "error"
