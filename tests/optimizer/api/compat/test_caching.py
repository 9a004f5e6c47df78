"""The response cache for chats: exact, bypassed where an answer must be new, streamed too."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest

from analytics.models import CachedResponse, RequestRecord
from tests.fakes.answers import openai_answer
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import openai_stream
from tests.fakes.wires import ANSWER, openai_completion
from tests.optimizer.api.compat.conftest import on_a_port

MODEL = "z-ai/glm-5.3-flash"
QUESTION: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "The capital of France?"}],
}
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
CALLS = [("call_1", "look_up", {"q": "x"}), ("call_2", "look_up", {"q": "y"})]


async def status(sdk: openai.AsyncOpenAI, **change: Any) -> str:
    raw = await sdk.chat.completions.with_raw_response.create(**{**QUESTION, **change})
    if not change.get("stream"):
        assert raw.parse().choices
    return raw.headers["x-optimizer-cache"]


async def text_of(stream: Any) -> str:
    return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])


async def test_whole_and_streamed_answers_are_given_again_as_either(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    create = openai_sdk.chat.completions.create
    assert await text_of(await create(**QUESTION, stream=True)) == ANSWER
    whole = await openai_sdk.chat.completions.with_raw_response.create(**QUESTION)
    assert whole.headers["x-optimizer-cache"] == "hit"
    assert whole.headers["x-optimizer-cost"] == "0"
    assert float(whole.headers["x-optimizer-savings"]) > 0
    assert whole.parse().choices[0].message.content == ANSWER
    usage = {"include_usage": True}
    again = [c async for c in await create(**QUESTION, stream=True, stream_options=usage)]
    assert "".join(c.choices[0].delta.content or "" for c in again if c.choices) == ANSWER
    assert again[-1].usage.total_tokens == 29
    assert len(fakes["openrouter"].asked) == 1
    records = [r async for r in RequestRecord.objects.order_by("id")]
    assert [(r.cache_hit, r.streamed) for r in records] == [
        (False, True), (True, False), (True, True),
    ]  # fmt: skip
    assert records[0].cost == records[1].savings == records[2].savings


async def test_an_answer_with_tools_and_logprobs_is_given_again_whole(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    body = openai_answer("Let me look.", CALLS, "stop")
    body["choices"][0]["logprobs"] = {"content": [{"token": "Let", "logprob": -1.0}]}
    fakes["openrouter"].next(Reply(body))
    asked = {"tools": TOOLS, "extra_body": {"optimizer": {"read_only_tools": ["look_up"]}}}
    create = openai_sdk.chat.completions.create
    first, second = [await create(**QUESTION, **asked) for _ in range(2)]
    third = [c async for c in await create(**QUESTION, **asked, stream=True)]
    assert second.choices == first.choices
    assert len(second.choices[0].message.tool_calls) == 2
    calls = [c for chunk in third for c in chunk.choices[0].delta.tool_calls or ()]
    assert [c.id for c in calls if c.id] == ["call_1", "call_2"]
    assert "".join(c.function.arguments for c in calls if c.index == 1) == '{"q": "y"}'
    assert len(fakes["openrouter"].asked) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"temperature": 0.7}, "hit"),
        ({"temperature": 0.9}, "bypass; temperature"),
        ({"n": 2}, "bypass; n"),
        ({"tools": TOOLS}, "bypass; tools"),
        ({"tools": TOOLS, "extra_body": {"optimizer": {"read_only_tools": True}}}, "hit"),
        (
            {"tools": TOOLS, "extra_body": {"optimizer": {"read_only_tools": ["x"]}}},
            "bypass; tools",
        ),
        ({"extra_headers": {"Cache-Control": "no-store"}}, "bypass; no-store"),
        ({"extra_headers": {"Cache-Control": "no-cache"}}, "miss"),
        ({"extra_headers": {"Cache-Control": "max-age=60"}}, "hit"),
        ({"extra_headers": {"Cache-Control": "max-age=0"}}, "miss"),
        ({"extra_body": {"optimizer": {"cache_ttl": 0}}}, "bypass; ttl"),
        ({"extra_body": {"optimizer": {"cache_ttl": 60}}}, "hit"),
        ({"user": "somebody"}, "hit"),
        ({"seed": 4}, "hit"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_second_time(
    openai_sdk: openai.AsyncOpenAI, change: dict[str, Any], expected: str, streamed: bool
) -> None:
    await status(openai_sdk, **change)
    assert await status(openai_sdk, **change, stream=streamed) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4}, {"temperature": 0.1}, {"max_tokens": 9}, {"model": f"openrouter/{MODEL}"},
        {"messages": [{"role": "system", "content": "Be brief."}, *QUESTION["messages"]]},
        {"response_format": {"type": "json_object"}}, {"reasoning_effort": "low"},
        {"extra_body": {"optimizer": {"quality_target": 0.5}}},
    ],
)  # fmt: skip
async def test_whatever_changes_the_answer_misses(
    openai_sdk: openai.AsyncOpenAI, change: dict[str, Any]
) -> None:
    await status(openai_sdk)
    assert await status(openai_sdk, **change) == "miss"


async def test_a_wish_for_a_cached_answer_alone_is_honoured(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    only = {"extra_headers": {"Cache-Control": "only-if-cached"}}
    with pytest.raises(openai.APIStatusError) as raised:
        await status(openai_sdk, **only)
    assert raised.value.status_code == 504
    await status(openai_sdk)
    assert await status(openai_sdk, **only) == "hit"
    assert len(fakes["openrouter"].asked) == 1


async def test_an_answer_is_kept_as_long_as_its_request_says(
    openai_sdk: openai.AsyncOpenAI,
) -> None:
    await status(openai_sdk, extra_body={"optimizer": {"cache_ttl": 60}})
    entry = await CachedResponse.objects.aget()
    assert (entry.expires_at - entry.created_at).total_seconds() == 60


async def test_identical_chats_in_flight_share_one_call(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    fakes["openrouter"].gate = asyncio.Event()
    asking = [asyncio.create_task(status(openai_sdk)) for _ in range(6)]
    while not fakes["openrouter"].asked:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    fakes["openrouter"].gate.set()
    assert sorted(await asyncio.gather(*asking)) == ["hit"] * 5 + ["miss"]
    assert len(fakes["openrouter"].asked) == 1


async def test_a_wish_about_the_cache_is_not_given_an_answer_in_flight(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    fakes["openrouter"].gate = asyncio.Event()
    plain = asyncio.create_task(status(openai_sdk))
    while not fakes["openrouter"].asked:
        await asyncio.sleep(0.01)
    with pytest.raises(openai.APIStatusError) as raised:
        await status(openai_sdk, extra_headers={"Cache-Control": "only-if-cached"})
    assert raised.value.status_code == 504
    fresh = asyncio.create_task(status(openai_sdk, extra_headers={"Cache-Control": "max-age=0"}))
    while len(fakes["openrouter"].asked) < 2:
        await asyncio.sleep(0.01)
    fakes["openrouter"].gate.set()
    assert await asyncio.gather(plain, fresh) == ["miss", "miss"]


async def test_answers_cut_off_or_filtered_are_not_kept(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider], served: str
) -> None:
    fakes["openrouter"].next(Reply(openai_answer("No.", [], "filter")))
    await status(openai_sdk)
    long = openai_stream(openai_completion("m", ANSWER * 300))
    fakes["openrouter"].next(Reply(chunks=long, pause=0.005))
    async with (
        httpx.AsyncClient() as raw,
        raw.stream("POST", f"{served}/v1/chat/completions", json={**QUESTION, "stream": True}) as r,
    ):
        async for _ in r.aiter_bytes():
            break
    while await RequestRecord.objects.acount() < 2:
        await asyncio.sleep(0.02)
    assert not await CachedResponse.objects.aexists()


async def test_a_cache_that_is_off_keeps_nothing(
    transactional_db: None, fakes: dict[str, FakeProvider], settings: Any
) -> None:
    settings.RESPONSE_CACHE = False
    async with (
        on_a_port() as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x") as sdk,
    ):
        assert [await status(sdk) for _ in range(2)] == ["bypass; off"] * 2


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "refusal": "I can't help with that."},
        {"role": "assistant", "content": " \n"},
        {"role": "assistant", "content": "", "reasoning_content": "Hm."},
    ],
)
async def test_refusals_and_answers_without_a_word_are_not_kept(
    message: dict[str, Any], openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    body = openai_completion("m")
    body["choices"][0]["message"] = message
    fakes["openrouter"].next(Reply(body), Reply(openai_completion("m")))
    assert [await status(openai_sdk) for _ in range(3)] == ["miss", "miss", "hit"]
