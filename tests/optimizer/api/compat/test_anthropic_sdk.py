"""The official Anthropic SDK, unchanged but for its base URL."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import anthropic
import pydantic
import pytest
from asgiref.sync import sync_to_async

from analytics.models import RequestRecord, RoutingRule
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import anthropic_stream
from tests.fakes.wires import ANSWER, anthropic_message, openai_completion

HAIKU = "claude-haiku-4-5"
QUESTION: dict[str, Any] = {
    "model": "auto",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "The capital of France?"}],
}


async def test_synchronously(served: str) -> None:
    def ask() -> tuple[str, str]:
        with anthropic.Anthropic(base_url=served, api_key="any") as sdk:
            whole = sdk.messages.create(**QUESTION).content[0].text
            with sdk.messages.stream(**QUESTION) as stream:
                return whole, "".join(stream.text_stream)

    assert await asyncio.to_thread(ask) == (ANSWER, ANSWER)


async def test_the_headers_say_what_it_cost_and_whose_request_it_was(
    anthropic_sdk: anthropic.AsyncAnthropic,
) -> None:
    raw = await anthropic_sdk.messages.with_raw_response.create(**QUESTION)
    record = await RequestRecord.objects.aget()
    assert raw.headers["request-id"] == str(record.pk) == (await raw.parse())._request_id
    assert Decimal(raw.headers["x-optimizer-cost"]) == record.cost > 0
    assert (record.endpoint, record.requested_model) == ("messages", "auto")


async def test_usage_tells_prompt_cache_reads_and_writes_apart_and_they_are_priced(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    system = [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]
    usage = {
        "input_tokens": 13, "cache_read_input_tokens": 4000, "cache_creation_input_tokens": 3000,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 2000},
        "output_tokens": 9,
    }  # fmt: skip
    fakes["claude"].next(Reply(anthropic_message("m", usage=usage)))
    found = await anthropic_sdk.messages.create(**{**QUESTION, "model": HAIKU}, system=system)
    assert fakes["claude"].asked[0].body["system"] == system
    assert found.usage.input_tokens == 13
    assert found.usage.cache_read_input_tokens == 4000
    assert found.usage.cache_creation_input_tokens == 3000
    record = await RequestRecord.objects.aget()
    expected = Usage(7013, 9, 4000, 3000, cache_write_1h_tokens=1000)
    assert record.cost == get_services().prices.cost("claude", HAIKU, expected)
    assert (record.cache_read_tokens, record.cache_write_tokens) == (4000, 3000)


async def test_what_only_anthropic_can_do_goes_to_anthropic_as_it_came(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    content = [
        {"type": "thinking", "thinking": "France …", "signature": "sealed"},
        {"type": "redacted_thinking", "data": "hidden"},
        {"type": "text", "text": "Paris."},
    ]
    body = anthropic_message("m", content=content)
    fakes["claude"].next(Reply(body), Reply(chunks=anthropic_stream(body)))
    question = {**QUESTION, "model": HAIKU, "max_tokens": 2000, "thinking": thinking}
    headers = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
    whole = await anthropic_sdk.messages.create(**question, extra_headers=headers)
    async with anthropic_sdk.messages.stream(**{**question, "max_tokens": 2001}) as stream:
        streamed = await stream.get_final_message()
    assert [b.type for b in whole.content] == ["thinking", "redacted_thinking", "text"]
    assert [b.model_dump() for b in streamed.content] == [b.model_dump() for b in whole.content]
    assert whole.content[0].signature == "sealed"
    asked = fakes["claude"].asked[0]
    assert asked.body["thinking"] == thinking
    assert asked.headers["anthropic-beta"] == headers["anthropic-beta"]
    # The thoughts go back as they came.
    turns = [*QUESTION["messages"], {"role": "assistant", "content": content},
             {"role": "user", "content": "Sure?"}]  # fmt: skip
    await anthropic_sdk.messages.create(**{**question, "messages": turns})
    assert fakes["claude"].asked[-1].body["messages"] == turns


async def test_an_ending_that_only_anthropic_knows_is_told_as_it_is(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    body = anthropic_message("m", stop_reason="pause_turn")
    fakes["claude"].next(Reply(body), Reply(chunks=anthropic_stream(body)))
    named = {**QUESTION, "model": HAIKU}
    whole = await anthropic_sdk.messages.create(**named)
    async with anthropic_sdk.messages.stream(**{**named, "max_tokens": 301}) as stream:
        streamed = await stream.get_final_message()
    assert whole.stop_reason == streamed.stop_reason == "pause_turn"


async def test_a_stop_sequence_is_named(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    body = anthropic_message("m", stop_reason="stop_sequence", stop_sequence="END")
    fakes["claude"].next(Reply(body), Reply(chunks=anthropic_stream(body)))
    named = {**QUESTION, "model": HAIKU, "stop_sequences": ["END"]}
    whole = await anthropic_sdk.messages.create(**named)
    async with anthropic_sdk.messages.stream(**{**named, "max_tokens": 301}) as stream:
        streamed = await stream.get_final_message()
    for found in (whole, streamed):
        assert (found.stop_reason, found.stop_sequence) == ("stop_sequence", "END")


async def test_tokens_are_counted_by_the_model_s_provider_or_estimated(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    messages = QUESTION["messages"]
    fakes["claude"].next(Reply({"input_tokens": 1234}))
    counted = await anthropic_sdk.messages.count_tokens(model=HAIKU, messages=messages)
    assert counted.input_tokens == 1234
    assert fakes["claude"].asked[0].path == "/v1/messages/count_tokens"
    rule = RoutingRule(name="no", action="forbid", model_names=["claude/*"], enabled=True)
    await rule.asave()
    await sync_to_async(get_services().rules.refresh)()
    estimated = await anthropic_sdk.messages.count_tokens(model=HAIKU, messages=messages)
    assert (estimated.input_tokens, len(fakes["claude"].asked)) == (6, 1)
    await rule.adelete()
    await sync_to_async(get_services().rules.refresh)()
    fakes["claude"].always(Reply({}, 500))
    for model in (HAIKU, "auto", "gemini-3.5-flash-lite"):
        estimated = await anthropic_sdk.messages.count_tokens(model=model, messages=messages)
        assert estimated.input_tokens == 6
    assert not await RequestRecord.objects.admitted().aexists()


async def test_errors_are_the_classes_that_users_expect(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    create = anthropic_sdk.messages.create
    with pytest.raises(anthropic.NotFoundError) as missing:
        await create(**{**QUESTION, "model": "claude-0"})
    assert missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\]\.role"):
        await create(**{**QUESTION, "messages": [{"role": "tool", "content": "x"}]})
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: must be between"):
        await create(**{**QUESTION, "max_tokens": -1})
    for fake in fakes.values():
        fake.always(Reply({}, 429))
    with pytest.raises(anthropic.RateLimitError):
        await create(**{**QUESTION, "model": HAIKU})
    for fake in fakes.values():
        fake.always(Reply({}, 503))
    with pytest.raises(anthropic.InternalServerError) as down:
        await create(**QUESTION)
    assert down.value.body["error"]["type"] == "overloaded_error"


async def test_a_body_that_is_too_large_is_refused_in_anthropic_s_shape(
    anthropic_sdk: anthropic.AsyncAnthropic, settings: Any
) -> None:
    messages = [{"role": "user", "content": "x" * (settings.MAX_BODY_BYTES + 1)}]
    with pytest.raises(anthropic.APIStatusError) as raised:
        await anthropic_sdk.messages.create(**{**QUESTION, "messages": messages})
    assert raised.value.status_code == 413
    assert raised.value.body["error"]["type"] == "request_too_large"


async def test_tools_that_the_provider_runs_exclude_all_others(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    content = [
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
        {"type": "text", "text": "Found.", "citations": [{"type": "x", "cited_text": "y"}]},
    ]
    body = anthropic_message("m", content=content)
    fakes["claude"].next(Reply(body), Reply(chunks=anthropic_stream(body)))
    whole = await anthropic_sdk.messages.create(**QUESTION, tools=tools)
    streamed = await anthropic_sdk.messages.create(**QUESTION, tools=tools, stream=True)
    kinds = [e.content_block.type async for e in streamed if e.type == "content_block_start"]
    assert [b.type for b in whole.content] == kinds
    assert kinds == ["server_tool_use", "web_search_tool_result", "text"]
    with pytest.raises(anthropic.BadRequestError, match="lacks the anthropic API"):
        await anthropic_sdk.messages.create(
            **{**QUESTION, "model": "gemini-3.5-flash-lite"}, tools=tools
        )


class City(pydantic.BaseModel):
    city: str


async def test_structured_outputs_are_parsed_whoever_answers(
    anthropic_sdk: anthropic.AsyncAnthropic, fakes: dict[str, FakeProvider]
) -> None:
    fakes["openrouter"].always(Reply(openai_completion("m", '{"city": "Paris"}')))
    found = await anthropic_sdk.messages.parse(
        **{**QUESTION, "model": "z-ai/glm-5.3-flash"}, output_format=City
    )
    assert found.parsed_output == City(city="Paris")
    sent = fakes["openrouter"].asked[0].body["response_format"]["json_schema"]["schema"]
    assert sent["required"] == ["city"]


async def test_the_sdk_tries_again_as_long_as_it_is_told_to(
    served: str, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].next(*[Reply({}, 529)] * 2)
    async with anthropic.AsyncAnthropic(base_url=served, api_key="x", max_retries=2) as sdk:
        found = await sdk.messages.create(**{**QUESTION, "model": HAIKU})
    assert found.content[0].text == ANSWER
    statuses = [r.status async for r in RequestRecord.objects.order_by("id")]
    assert statuses == ["error", "ok"]
