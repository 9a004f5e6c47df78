"""Both SDKs against the embedded model: real text, really streamed, with no provider configured."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest

from analytics.models import RequestRecord
from providers.local.client import local_available
from tests.optimizer.api.compat.conftest import on_a_port

pytestmark = pytest.mark.skipif(not local_available(), reason="the weights are not installed")
MESSAGES: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]


class City(pydantic.BaseModel):
    city: str


@pytest.fixture
async def address(transactional_db: None, settings: Any) -> AsyncIterator[str]:
    settings.LOCAL_PROVIDER = "on"
    async with on_a_port() as found:
        yield found


async def test_openai_s_sdk(address: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any") as sdk:
        create = sdk.chat.completions.create
        whole = await create(model="auto", messages=MESSAGES, max_tokens=30)
        assert "Paris" in (whole.choices[0].message.content or "")
        assert whole.usage.completion_tokens > 3
        fresh = {"extra_headers": {"Cache-Control": "no-store"}}
        stream = await create(
            model="auto", messages=MESSAGES, max_tokens=30, stream=True,
            stream_options={"include_usage": True}, **fresh,
        )  # fmt: skip
        chunks = [chunk async for chunk in stream]
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert "Paris" in text
        assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) > 3
        assert chunks[-1].usage.completion_tokens > 3
        parsed = await sdk.chat.completions.parse(
            model="auto",
            messages=[{"role": "user", "content": "Name the capital of France, as JSON."}],
            response_format=City,
            max_tokens=60,
        )
        assert parsed.choices[0].message.parsed.city
        response = await sdk.responses.create(model="auto", input="What is the capital of France?")
        assert "Paris" in response.output_text
        with pytest.raises(openai.BadRequestError, match="lacks tools"):
            await create(
                model="auto",
                messages=MESSAGES,
                tools=[{"type": "function", "function": {"name": "f"}}],
            )
    records = [record async for record in RequestRecord.objects.admitted()]
    assert {record.provider for record in records} == {"local"}
    assert all(record.cost == 0 for record in records)
    (streamed,) = [record for record in records if record.streamed]
    assert 0 < streamed.ttft_ms <= streamed.latency_ms


async def test_anthropic_s_sdk(address: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=address, api_key="any") as sdk:
        whole = await sdk.messages.create(model="auto", max_tokens=30, messages=MESSAGES)
        assert "Paris" in whole.content[0].text
        fresh = {"extra_headers": {"Cache-Control": "no-store"}}
        async with sdk.messages.stream(
            model="auto", max_tokens=30, messages=MESSAGES, **fresh
        ) as stream:
            pieces = [text async for text in stream.text_stream]
        assert "Paris" in "".join(pieces)
        assert len(pieces) > 3
        schema = City.model_json_schema() | {"additionalProperties": False}
        structured = await sdk.messages.create(
            model="auto", max_tokens=60, messages=MESSAGES,
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )  # fmt: skip
        assert City(**json.loads(structured.content[0].text))
        with pytest.raises(anthropic.BadRequestError, match="lacks tools"):
            tools: list[Any] = [{"name": "f", "input_schema": {"type": "object"}}]
            await sdk.messages.create(model="auto", max_tokens=9, messages=MESSAGES, tools=tools)
