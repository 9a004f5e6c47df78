"""The HTTP clients: what they send, what they read, and every way a provider can fail."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion

from providers import errors
from providers.anthropic.client import AnthropicProvider
from providers.chat import TOKENS_PER_MESSAGE, Chat, Tool
from providers.completion import CompletionRequest, Usage
from providers.gemini.client import GeminiProvider
from providers.http.header_values import retry_after_seconds
from providers.http.transport import HttpClient
from providers.http.wire import WireClient
from providers.openai.client import OpenAIOwnProvider, OpenAIProvider
from providers.openai.openrouter import OpenRouterProvider
from providers.token_estimates import estimate_tokens
from tests.fakes.server import FakeProvider, Reply, Wire
from tests.fakes.wires import (
    ANSWER,
    KEY,
    anthropic_message,
    anthropic_wire,
    gemini_response,
    gemini_wire,
    openai_completion,
    openai_error,
    openai_wire,
)

SECRET = "the prompt that must not be repeated"
REQUEST = CompletionRequest("some-model", Chat.of_prompt(SECRET, max_tokens=50))
WIRES: dict[str, tuple[type[WireClient], Wire, Callable[..., dict[str, Any]]]] = {
    "openai": (OpenAIProvider, openai_wire(), openai_completion),
    "openai-own": (
        OpenAIOwnProvider,
        openai_wire(max_tokens_field="max_completion_tokens"),
        openai_completion,
    ),
    "openrouter": (OpenRouterProvider, openai_wire(), openai_completion),
    "anthropic": (AnthropicProvider, anthropic_wire, anthropic_message),
    "gemini": (GeminiProvider, gemini_wire, gemini_response),
}


class Pair:
    """A client and the fake it talks to."""

    def __init__(self, name: str, fake: FakeProvider, http: HttpClient) -> None:
        kind, _, self.success = WIRES[name]
        self.name, self.fake = name, fake
        timeout = httpx.Timeout(0.5, connect=0.5)
        self.client = kind(name, http, fake.url, KEY, timeout)

    async def failure(self, *replies: Reply) -> errors.ProviderError:
        self.fake.next(*replies)
        with pytest.raises(errors.ProviderError) as caught:
            await self.client.complete(REQUEST)
        said = f"{caught.value} {caught.value!r} {self.client!r}"
        assert KEY not in said
        assert SECRET not in said
        return caught.value


@pytest.fixture(params=list(WIRES))
async def pair(request: pytest.FixtureRequest, http: HttpClient) -> AsyncIterator[Pair]:
    async with FakeProvider(WIRES[request.param][1]) as fake:
        yield Pair(request.param, fake, http)


async def test_a_completion_arrives_with_text_usage_and_ending(pair: Pair) -> None:
    completion = await pair.client.complete(REQUEST)
    assert completion.text == ANSWER
    assert completion.finish_reason == "stop"
    assert completion.model == "some-model"
    assert completion.response_id
    assert completion.usage == {
        "anthropic": Usage(20, 9, cache_read_tokens=4, cache_write_tokens=3),
    }.get(pair.name, Usage(20, 9, cache_read_tokens=4, reasoning_tokens=2))


async def test_the_prompt_and_the_bound_are_sent_once_and_the_key_only_in_a_header(
    pair: Pair,
) -> None:
    await pair.client.complete(REQUEST)
    asked = pair.fake.asked[0]
    assert json.dumps(asked.body).count(SECRET) == 1
    assert "50" in json.dumps(asked.body)
    assert KEY not in asked.path + json.dumps(asked.body)


@pytest.mark.parametrize("odd", [2**70, "half of one: \ud83d", "🗼"])
async def test_what_a_client_put_into_a_tool_arrives_as_it_was(pair: Pair, odd: Any) -> None:
    tool = Tool("look", "Looks.", {"type": "object", "properties": {"at": {"enum": [odd]}}})
    chat = replace(Chat.of_prompt(SECRET, max_tokens=50), tools=(tool,))
    await pair.client.complete(CompletionRequest("some-model", chat))
    assert [odd] in found_under("enum", pair.fake.asked[0].body)


def found_under(name: str, body: Any) -> list[Any]:
    """What stands under ``name``, however deep."""
    if isinstance(body, list):
        return [found for part in body for found in found_under(name, part)]
    if not isinstance(body, dict):
        return []
    found = [body[name]] if name in body else []
    return found + [deep for part in body.values() for deep in found_under(name, part)]


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, errors.RequestRejected, False),
        (401, errors.AuthenticationFailed, False),
        (402, errors.InsufficientCredit, False),
        (403, errors.PermissionDenied, False),
        (404, errors.ModelNotFound, False),
        (408, errors.RequestTimedOut, True),
        (409, errors.Conflict, True),
        (413, errors.RequestTooLarge, False),
        (418, errors.RequestRejected, False),
        (422, errors.RequestRejected, False),
        (429, errors.RateLimited, True),
        (500, errors.ProviderUnavailable, True),
        (502, errors.ProviderUnavailable, True),
        (503, errors.Overloaded, True),
        (529, errors.Overloaded, True),
    ],
)
async def test_a_status_becomes_an_error_that_says_whether_to_retry(
    pair: Pair, status: int, kind: type[errors.ProviderError], retryable: bool
) -> None:
    error = await pair.failure(Reply({"error": {"message": f"{KEY} {SECRET}"}}, status))
    assert type(error) is kind
    assert (error.status, error.retryable) == (status, retryable)


async def test_a_redirect_is_not_followed(pair: Pair) -> None:
    error = await pair.failure(Reply({}, 307, {"location": f"{pair.fake.url}/elsewhere"}))
    assert isinstance(error, errors.RequestRejected)
    assert len(pair.fake.asked) == 1


async def test_retry_after_is_read(pair: Pair) -> None:
    error = await pair.failure(Reply({}, 429, {"retry-after": "7"}))
    assert error.retry_after == 7


@pytest.mark.parametrize("raw", [b"<html>", b"", b'{"id": ', b"[]", b'"text"', b"[" * 100_000])
async def test_what_is_not_a_json_object_is_malformed(pair: Pair, raw: bytes) -> None:
    assert isinstance(await pair.failure(Reply(raw)), errors.MalformedResponse)


@pytest.mark.parametrize("text", ["", "   \n"])
async def test_an_empty_answer_is_an_error_with_its_usage(pair: Pair, text: str) -> None:
    error = await pair.failure(Reply(pair.success("m", text)))
    assert isinstance(error, errors.EmptyCompletion)
    assert error.usage is not None
    assert error.usage.input_tokens == 20


async def test_an_empty_answer_that_was_cut_off_is_an_answer(pair: Pair) -> None:
    body = pair.success("m", "")
    ends = {"finish_reason": "length", "finishReason": "MAX_TOKENS", "stop_reason": "max_tokens"}
    for holder in (body, *body.get("choices", ()), *body.get("candidates", ())):
        holder.update({name: end for name, end in ends.items() if name in holder})
    pair.fake.next(Reply(body))
    completion = await pair.client.complete(REQUEST)
    assert (completion.text, completion.finish_reason) == ("", "length")
    assert completion.usage.input_tokens == 20


async def test_a_dropped_connection_is_an_error(pair: Pair) -> None:
    error = await pair.failure(Reply(pair.success("m", ANSWER * 5000), drop=True))
    assert isinstance(error, errors.ConnectionLost)
    assert error.retryable
    assert error.maybe_charged


async def test_a_connection_that_is_cut_without_an_answer_may_be_charged(
    http: HttpClient,
) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for kind, _, _ in WIRES.values():
            client = kind("x", http, f"http://127.0.0.1:{port}", KEY)
            with pytest.raises(errors.ConnectionLost):
                await client.complete(REQUEST)
            with pytest.raises(errors.ConnectionLost):
                async for _ in client.stream(REQUEST):
                    pass


async def test_a_whole_answer_may_take_longer_than_the_silence_of_a_stream(pair: Pair) -> None:
    limits = (httpx.Timeout(5.0), httpx.Timeout(0.2))
    client = type(pair.client)("x", pair.client._client, pair.fake.url, KEY, *limits)
    pair.fake.next(Reply(pair.success("m"), delay=0.6))
    assert (await client.complete(REQUEST)).text == ANSWER
    pair.fake.next(Reply(chunks=[b": ping\n\n"] * 2, pause=0.6))
    with pytest.raises(errors.ProviderTimeout):
        async for _ in client.stream(REQUEST):
            pass


async def test_a_refused_connection_is_an_error(http: HttpClient) -> None:
    for kind, _, _ in WIRES.values():
        client = kind("x", http, "http://127.0.0.1:1", KEY)
        with pytest.raises(errors.ConnectionFailed) as caught:
            await client.complete(REQUEST)
        assert type(caught.value) is errors.ConnectionFailed
        assert not caught.value.maybe_charged


async def test_silence_is_a_timeout(pair: Pair) -> None:
    error = await pair.failure(Reply(pair.success("m"), delay=2))
    assert isinstance(error, errors.ProviderTimeout)


async def test_too_much_is_malformed(pair: Pair) -> None:
    error = await pair.failure(Reply(b" " * (17 * 1024 * 1024)))
    assert isinstance(error, errors.MalformedResponse)


@pytest.mark.parametrize("count", [-1, "many", True, None, [], {}, 1e300, 3_000_000_000])
async def test_an_absurd_token_count_is_unknown_and_costs_no_answer(
    pair: Pair, count: object
) -> None:
    body = json.dumps(pair.success("m"))
    for name in ('"prompt_tokens": 20', '"input_tokens": 13', '"promptTokenCount": 20'):
        body = body.replace(name, f"{name.split(':')[0]}: {json.dumps(count)}")
    body = re.sub(r'"(total_tokens|totalTokenCount)": \d+', r'"\1": null', body)
    pair.fake.next(Reply(body.encode()))
    completion = await pair.client.complete(REQUEST)
    assert completion.text
    assert completion.usage.estimated
    assert completion.usage.input_tokens > 0


async def test_usage_that_is_not_reported_is_estimated_and_marked(pair: Pair) -> None:
    body = pair.success("m")
    body.pop("usage", None)
    body.pop("usageMetadata", None)
    pair.fake.next(Reply(body))
    usage = (await pair.client.complete(REQUEST)).usage
    assert usage.estimated
    assert usage.input_tokens == estimate_tokens(SECRET) + TOKENS_PER_MESSAGE


@pytest.mark.parametrize(
    ("name", "body", "finish"),
    [
        (
            "openai",
            {"choices": [{"message": {"content": "x"}, "finish_reason": "length"}]},
            "length",
        ),
        ("anthropic", {"stop_reason": "max_tokens"}, "length"),
        ("anthropic", {"stop_reason": "something new"}, "other"),
        (
            "gemini",
            {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "MAX_TOKENS"}]},
            "length",
        ),
    ],
)  # fmt: skip
async def test_endings_are_mapped(
    http: HttpClient, name: str, body: dict[str, Any], finish: str
) -> None:
    async with FakeProvider(WIRES[name][1]) as fake:
        pair = Pair(name, fake, http)
        fake.next(Reply({**pair.success("m"), **body}))
        assert (await pair.client.complete(REQUEST)).finish_reason == finish


BLOCKED = [
    ("openai", Reply(openai_completion("m", "", choices=[
        {"message": {"content": None, "refusal": "no"}, "finish_reason": "stop"}]))),
    ("openai", Reply(openai_completion("m", "", choices=[
        {"message": {"content": ""}, "finish_reason": "content_filter"}]))),
    ("openai", openai_error(400, "content_policy_violation")),
    ("anthropic", Reply(anthropic_message("m", "", stop_reason="refusal"))),
    ("gemini", Reply({"promptFeedback": {"blockReason": "SAFETY"},
                      "usageMetadata": {"promptTokenCount": 5}})),
    ("gemini", Reply({"candidates": [{"finishReason": "SAFETY"}]})),
]  # fmt: skip


@pytest.mark.parametrize(("name", "reply"), BLOCKED)
async def test_safety_blocks_are_told_apart(http: HttpClient, name: str, reply: Reply) -> None:
    async with FakeProvider(WIRES[name][1]) as fake:
        error = await Pair(name, fake, http).failure(reply)
        assert isinstance(error, errors.ContentBlocked)
        assert not error.retryable


SPECIAL = [
    ("openai", openai_error(429, "insufficient_quota"), errors.InsufficientCredit),
    ("openrouter", Reply({"error": {"code": 502, "message": "x"}}), errors.ProviderUnavailable),
    ("openrouter", Reply({"error": {"code": 402}}), errors.InsufficientCredit),
    ("openrouter", Reply({"choices": [{"error": {"code": 429}}]}), errors.RateLimited),
    ("openai", Reply({"error": {"code": "odd"}}), errors.MalformedResponse),
    ("openai", Reply({"choices": []}), errors.EmptyCompletion),
    ("anthropic", Reply({"content": []}), errors.MalformedResponse),
    ("anthropic", Reply({"type": "message"}), errors.MalformedResponse),
    ("gemini", Reply({}), errors.EmptyCompletion),
    ("gemini", Reply({"candidates": ["x"]}), errors.MalformedResponse),
    (
        "gemini",
        Reply({"error": {"details": [{"reason": "API_KEY_INVALID"}]}}, 400),
        errors.AuthenticationFailed,
    ),
]


@pytest.mark.parametrize(("name", "reply", "kind"), SPECIAL)
async def test_each_provider_s_own_ways_to_fail_are_known(
    http: HttpClient, name: str, reply: Reply, kind: type[errors.ProviderError]
) -> None:
    async with FakeProvider(WIRES[name][1]) as fake:
        assert type(await Pair(name, fake, http).failure(reply)) is kind


@pytest.mark.parametrize(("delay", "wait"), [("17s", 17), ("2.5s", 2.5), ("soon", None)])
async def test_google_says_in_the_body_how_long_to_wait(
    http: HttpClient, delay: str, wait: float | None
) -> None:
    # https://cloud.google.com/apis/design/errors#error_details
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details}}
    async with FakeProvider(gemini_wire) as fake:
        error = await Pair("gemini", fake, http).failure(Reply(body, 429))
        assert error.retry_after == wait
        error = await Pair("gemini", fake, http).failure(Reply(body, 429, {"retry-after": "3"}))
        assert error.retry_after == 3


async def test_a_thought_is_not_part_of_the_answer(http: HttpClient) -> None:
    async with FakeProvider(gemini_wire) as fake:
        parts = [{"text": "hm", "thought": True}, {"text": "Paris"}]
        fake.next(Reply(gemini_response("m", candidates=[{"content": {"parts": parts}}])))
        assert (await Pair("gemini", fake, http).client.complete(REQUEST)).text == "Paris"


async def test_keys_and_prompts_stay_out_of_the_log(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await pair.client.complete(REQUEST)
        await pair.failure(Reply({}, 500))
    assert KEY not in caplog.text
    assert SECRET not in caplog.text


def test_the_fakes_speak_as_the_official_sdks_expect() -> None:
    completion = ChatCompletion.model_validate(openai_completion("m"), strict=True)
    assert completion.usage is not None
    assert completion.usage.prompt_tokens_details is not None
    assert completion.usage.prompt_tokens_details.cached_tokens == 4
    message = Message.model_validate(anthropic_message("m"), strict=True)
    assert message.usage.cache_creation_input_tokens == 3


async def test_what_the_official_models_serialise_is_understood(http: HttpClient) -> None:
    for name, body in (
        ("openai", ChatCompletion.model_validate(openai_completion("m")).model_dump_json()),
        ("anthropic", Message.model_validate(anthropic_message("m")).model_dump_json()),
    ):
        async with FakeProvider(WIRES[name][1]) as fake:
            fake.next(Reply(body.encode()))
            completion = await Pair(name, fake, http).client.complete(REQUEST)
            assert (completion.text, completion.usage.input_tokens) == (ANSWER, 20)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after-ms": "inf", "retry-after": "9"}, 9),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "999999999"}, 86400),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "20s"}, 20),
        ({"retry-after": "1m2.5s"}, 62.5),
    ],
)
def test_retry_after_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


@pytest.mark.parametrize("form", ["http", "iso", "iso_z"])
def test_retry_after_as_a_date(form: str) -> None:
    at = datetime.now(UTC) + timedelta(seconds=60)
    when = format_datetime(at, usegmt=True) if form == "http" else at.isoformat()
    when = when.replace("+00:00", "Z") if form == "iso_z" else when
    found = retry_after_seconds({"retry-after": when})
    assert found is not None
    assert 50 < found <= 60
