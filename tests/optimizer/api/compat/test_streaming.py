"""Streams that survive: failures before and after the first token, clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from analytics.ledger.ledger import LedgerUnavailable
from analytics.models import DailyTotal, RequestRecord
from optimizer.wiring.build import get_services
from providers.completion import Usage
from providers.token_estimates import estimate_tokens
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import anthropic_stream, openai_stream, sse
from tests.fakes.wires import ANSWER, anthropic_message, openai_completion
from tests.patience import PATIENCE, eventually

QUESTION: dict[str, Any] = {
    "model": "auto:complexity",
    "messages": [{"role": "user", "content": "The capital of France?"}],
    "stream": True,
}


@pytest.fixture
async def raw(served: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served, timeout=PATIENCE) as client:
        yield client


def events_in(text: str) -> list[Any]:
    datas = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [data if data == "[DONE]" else json.loads(data) for data in datas]


async def recorded() -> RequestRecord:
    return await eventually(RequestRecord.objects.afirst)


async def test_a_failure_before_the_first_token_falls_back_unseen(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    started = anthropic_stream(anthropic_message("m"))[:2]
    failed = sse({"type": "error", "error": {"type": "overloaded_error"}}, "error")
    fakes["claude"].always(Reply(chunks=[*started, failed]))
    stream = await openai_sdk.chat.completions.create(**QUESTION)
    text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
    assert text == ANSWER
    record = await recorded()
    assert record.provider != "claude"
    assert {a["error"] for a in record.attempts} == {"overloaded"}


async def test_a_failure_after_it_ends_in_an_error_and_is_charged(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    begun = anthropic_stream(anthropic_message("m"))[:5]
    failed = sse({"type": "error", "error": {"type": "overloaded_error"}}, "error")
    fakes["claude"].next(Reply(chunks=[*begun, failed]))
    stream = await openai_sdk.chat.completions.create(**QUESTION)
    text = ""
    with pytest.raises(openai.APIError, match="claude is overloaded") as raised:
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert raised.value.code == "overloaded"
    assert text
    assert ANSWER.startswith(text)
    record = await recorded()
    assert (record.status, record.error_code) == ("partial", "overloaded")
    usage = Usage(20, estimate_tokens(text), 4, 3)
    assert record.tokens_out == usage.output_tokens
    assert record.cost == get_services().prices.cost("claude", record.model, usage)
    assert record.usage_estimated
    assert (await DailyTotal.objects.aget()).cost == record.cost


async def test_anthropic_s_clients_see_the_failure_as_their_own_error(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].next(Reply(chunks=anthropic_stream(anthropic_message("m"))[:5], drop=True))
    with pytest.raises(anthropic.APIStatusError) as raised:
        async with anthropic_sdk.messages.stream(
            model="auto:complexity",
            max_tokens=100,
            messages=[{"role": "user", "content": "The capital of France?"}],
        ) as stream:
            async for _ in stream:
                pass
    assert raised.value.body["error"]["type"] == "overloaded_error"
    assert raised.value.body["request_id"]


async def test_responses_end_in_an_error_too(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].next(Reply(chunks=anthropic_stream(anthropic_message("m"))[:5], drop=True))
    stream = await openai_sdk.responses.create(
        model="auto:complexity", input="The capital of France?", stream=True
    )
    with pytest.raises(openai.APIError, match="lost the connection"):
        async for _ in stream:
            pass


async def test_when_nobody_answers_the_status_says_so(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    for fake in fakes.values():
        fake.always(Reply({}, 500))
    with pytest.raises(openai.InternalServerError) as raised:
        await openai_sdk.chat.completions.create(**QUESTION)
    assert raised.value.status_code == 503
    assert raised.value.code == "routing_unavailable"
    assert (await recorded()).status == "error"


async def test_the_record_is_there_before_the_last_word(
    raw: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    seen = []
    async with raw.stream("POST", "/v1/chat/completions", json=QUESTION) as response:
        async for line in response.aiter_lines():
            if '"finish_reason":"stop"' in line:
                seen.append(await RequestRecord.objects.acount())
    assert seen == [1]


async def test_an_answer_that_cannot_be_recorded_does_not_end_well(
    openai_sdk: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise LedgerUnavailable("the disk is full")

    monkeypatch.setattr(get_services().ledger, "record", refused)
    stream = await openai_sdk.chat.completions.create(**QUESTION)
    finishes = []
    with pytest.raises(openai.APIError, match="could not be recorded"):
        async for chunk in stream:
            finishes.append(chunk.choices[0].finish_reason)
    assert set(finishes) == {None}


@pytest.mark.parametrize("provider", ["claude", "openrouter"])
async def test_a_client_that_leaves_stops_the_provider_and_is_recorded(
    raw: httpx.AsyncClient, fakes: dict[str, FakeProvider], provider: str
) -> None:
    long = {
        "claude": lambda: anthropic_stream(anthropic_message("m", ANSWER * 500)),
        "openrouter": lambda: openai_stream(openai_completion("m", ANSWER * 500)),
    }[provider]()
    fake = fakes[provider]
    fake.next(Reply(chunks=long, pause=0.005))
    models = {"claude": "claude-haiku-4-5", "openrouter": "z-ai/glm-5.3-flash"}
    body = {**QUESTION, "model": models[provider]}
    read = ""
    async with raw.stream("POST", "/v1/chat/completions", json=body) as response:
        async for text in response.aiter_text():
            read += text
            if len(events_in(read.rpartition("\n")[0])) > 20:
                break

    async def hung_up() -> bool:
        return fake.hung_up_on == 1

    await eventually(hung_up)
    assert fake.written < len(long) / 4
    record = await recorded()
    assert (record.status, record.error_code) == ("partial", "client_disconnected")
    # At the least what the client had read was produced, and all of it is charged.
    assert record.tokens_out >= 20 * 7 / 5
    usage = Usage(
        record.tokens_in, record.tokens_out, record.cache_read_tokens, record.cache_write_tokens
    )
    assert record.cost == get_services().prices.cost(provider, record.model, usage)
    assert get_services().caller.circuit_state(provider) == "closed"


async def test_a_client_that_leaves_before_the_first_token_is_recorded_too(
    raw: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].gate = asyncio.Event()
    asking = asyncio.create_task(raw.post("/v1/chat/completions", json=QUESTION))

    async def asked() -> bool:
        return bool(fakes["claude"].asked)

    await eventually(asked)
    asking.cancel()
    record = await recorded()
    fakes["claude"].gate.set()
    assert (record.status, record.error_code) == ("error", "client_disconnected")
    # The provider had the prompt by then and charges for reading it.
    assert record.cost == record.failed_cost > 0


async def test_a_client_that_reads_slowly_holds_the_provider_back(
    raw: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    def endless() -> Iterator[bytes]:
        head, body = anthropic_stream(anthropic_message("m", "x" * 60_000)), []
        body = [e for e in head if b"text_delta" in e]
        yield from head[:3]
        while True:
            yield b"".join(body[:500])

    fakes["claude"].next(Reply(chunks=endless()))
    async with raw.stream("POST", "/v1/chat/completions", json=QUESTION) as response:
        async for _ in response.aiter_bytes():
            break
        before = -1
        for _ in range(100):
            if before == fakes["claude"].written:
                break
            before = fakes["claude"].written
            await asyncio.sleep(0.3)
        assert before == fakes["claude"].written


async def test_several_choices_are_streamed_side_by_side(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    choices = [
        {"index": i, "message": {"content": text}, "finish_reason": "stop"}
        for i, text in enumerate(["one", "", "three"])
    ]
    fakes["openrouter"].next(Reply(chunks=openai_stream(openai_completion("m", choices=choices))))
    said: dict[int, str] = {}
    finished = []
    async for chunk in await openai_sdk.chat.completions.create(**{**QUESTION, "n": 3}):
        for choice in chunk.choices:
            said[choice.index] = said.get(choice.index, "") + (choice.delta.content or "")
            finished += [choice.index] if choice.finish_reason else []
    assert said == {0: "one", 1: "", 2: "three"}
    assert sorted(finished) == [0, 1, 2]


async def test_usage_comes_in_the_last_chunk_only_when_asked_for(raw: httpx.AsyncClient) -> None:
    plain = events_in((await raw.post("/v1/chat/completions", json=QUESTION)).text)
    asked = {**QUESTION, "stream_options": {"include_usage": True}}
    counted = events_in((await raw.post("/v1/chat/completions", json=asked)).text)
    assert all("usage" not in chunk for chunk in plain[:-1])
    assert plain[-1] == counted[-1] == "[DONE]"
    assert [chunk["usage"] for chunk in counted[:-2]] == [None] * (len(counted) - 2)
    assert counted[-2]["choices"] == []
    assert counted[-2]["usage"]["total_tokens"] == 29
    for chunks in (plain, counted):
        assert chunks[-2]["optimizer"]["cost"] >= 0
        assert all("optimizer" not in chunk for chunk in chunks[:-2])
