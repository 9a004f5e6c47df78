"""The official OpenAI SDK, unchanged but for its base URL."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import openai
import pydantic
import pytest

from analytics.models import RequestRecord
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import ANSWER, KEY, embeddings_wire, openai_completion
from tests.optimizer.api.compat.conftest import on_a_port

QUESTION: dict[str, Any] = {
    "model": "auto",
    "messages": [{"role": "user", "content": "The capital of France?"}],
}
GLM = "openrouter/z-ai/glm-5.3-flash"


def choice(message: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "message": message, "finish_reason": "stop", **more}]


async def test_synchronously(served: str) -> None:
    def ask() -> tuple[Any, str]:
        with openai.OpenAI(base_url=f"{served}/v1", api_key="any") as sdk:
            whole = sdk.chat.completions.create(**QUESTION)
            chunks = sdk.chat.completions.create(**QUESTION, stream=True)
            return whole, "".join(c.choices[0].delta.content or "" for c in chunks)

    whole, streamed = await asyncio.to_thread(ask)
    assert whole.choices[0].message.content == streamed == ANSWER


async def test_the_headers_say_what_was_decided_and_what_it_cost(
    openai_sdk: openai.AsyncOpenAI,
) -> None:
    raw = await openai_sdk.chat.completions.with_raw_response.create(**QUESTION)
    completion = raw.parse()
    record = await RequestRecord.objects.aget()
    assert raw.headers["x-request-id"] == str(record.pk) == completion._request_id
    assert raw.headers["x-optimizer-provider"] == record.provider
    assert raw.headers["x-optimizer-model"] == record.model == completion.model
    assert raw.headers["x-optimizer-strategy"] == record.strategy == "hybrid"
    assert raw.headers["x-optimizer-confidence"] == record.confidence
    assert Decimal(raw.headers["x-optimizer-cost"]) == record.cost > 0
    assert Decimal(raw.headers["x-optimizer-savings"]) == record.savings
    assert raw.headers["x-optimizer-cache"] == "miss"
    assert completion.id == f"chatcmpl-{record.pk}"
    assert (record.endpoint, record.requested_model) == ("chat/completions", "auto")


@pytest.mark.parametrize(
    ("model", "strategy"),
    [
        ("auto", "hybrid"),
        ("auto:complexity", "complexity"),
        ("auto:cheapest", "cheapest"),
        ("auto:best", "best"),
        ("claude-haiku-4-5", "named"),
        ("claude-3-haiku-20240307", "named"),
        (GLM, "named"),
    ],
)
async def test_the_model_s_name_says_how_to_choose(
    openai_sdk: openai.AsyncOpenAI, model: str, strategy: str
) -> None:
    await openai_sdk.chat.completions.create(**{**QUESTION, "model": model})
    record = await RequestRecord.objects.aget()
    assert record.strategy == strategy


async def test_cheapest_and_best_are_what_they_say(openai_sdk: openai.AsyncOpenAI) -> None:
    options = get_services().options.options()
    used = {}
    for name in ("auto:cheapest", "auto:best"):
        completion = await openai_sdk.chat.completions.create(**{**QUESTION, "model": name})
        used[name] = next(o for o in options if o.model == completion.model)
    costs = [cost for o in options if (cost := o.expected_cost(6, 1000)) is not None]
    assert used["auto:cheapest"].expected_cost(6, 1000) == min(costs)
    assert used["auto:best"].tier == "complex"


async def test_models_are_listed_and_described(openai_sdk: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in openai_sdk.models.list()]
    assert names[0] == "auto"
    assert {"claude-haiku-4-5", "z-ai/glm-5.3-flash"} <= set(names)
    assert "gpt-6-luna" not in names
    assert (await openai_sdk.models.retrieve("z-ai/glm-5.3-flash")).owned_by == "openrouter"
    with pytest.raises(openai.NotFoundError):
        await openai_sdk.models.retrieve("gpt-6-luna")


class City(pydantic.BaseModel):
    city: str
    people: int


async def test_structured_outputs_are_parsed(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    body = openai_completion("m", '{"city": "Paris", "people": 2100000}')
    fakes["openrouter"].always(Reply(body))
    found = await openai_sdk.chat.completions.parse(
        **{**QUESTION, "model": GLM}, response_format=City
    )
    assert found.choices[0].message.parsed == City(city="Paris", people=2_100_000)
    response = await openai_sdk.responses.parse(
        model=GLM, input="The capital of France?", text_format=City
    )
    assert response.output_parsed == City(city="Paris", people=2_100_000)
    sent = fakes["openrouter"].asked[0].body["response_format"]
    assert sent["json_schema"]["schema"]["required"] == ["city", "people"]


async def test_what_goes_to_its_own_wire_goes_as_it_came(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    image = {"url": "data:image/png;base64,aGVsbG8=", "detail": "low"}
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": image}]
    sent: dict[str, Any] = {
        "messages": [{"role": "user", "content": content}],
        "temperature": 0.3, "top_p": 0.9, "seed": 7, "stop": ["END"], "n": 1, "logprobs": True,
        "top_logprobs": 2, "logit_bias": {"50256": -100}, "presence_penalty": 0.1,
        "frequency_penalty": 0.2, "user": "ann", "reasoning_effort": "low",
    }  # fmt: skip
    logprobs = {
        "content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}]
    }
    fakes["openrouter"].next(
        Reply(
            openai_completion(
                "m",
                choices=choice(
                    {"content": "Hi", "annotations": [{"type": "x"}]}, logprobs=logprobs
                ),
            )
        )
    )
    with pytest.raises(openai.BadRequestError, match="vision"):
        await openai_sdk.chat.completions.create(model=GLM, **sent)
    sent["messages"] = QUESTION["messages"]
    found = await openai_sdk.chat.completions.create(model=GLM, max_completion_tokens=50, **sent)
    asked = fakes["openrouter"].asked[-1].body
    assert {k: asked[k] for k in sent} == sent
    assert asked["max_tokens"] == 50
    assert found.choices[0].logprobs.content[0].token == "Hi"
    assert found.choices[0].message.annotations
    assert (await RequestRecord.objects.admitted().aget()).user_id == "ann"


async def test_an_image_reaches_a_model_that_sees(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    image = {"url": "data:image/png;base64,aGVsbG8="}
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": image}]
    messages = [{"role": "user", "content": content}]
    await openai_sdk.chat.completions.create(model="auto:complexity", messages=messages)
    (asked,) = [a for name in ("claude", "gemini") for a in fakes[name].asked]
    assert "aGVsbG8=" in str(asked.body)
    assert not fakes["openrouter"].asked


async def test_what_no_model_can_do_names_the_feature_and_the_field(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await openai_sdk.chat.completions.create(
            **{**QUESTION, "model": "claude-haiku-4-5"}, logprobs=True, seed=3
        )
    error = raised.value
    assert error.code == "unsupported_feature"
    assert error.param == "logprobs"
    assert "claude/claude-haiku-4-5: lacks logprobs" in error.message
    assert not any(fake.asked for fake in fakes.values())
    assert not await RequestRecord.objects.admitted().aexists()


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stop": [1]}, "stop"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"model": 7}, "model"),
        ({"extra_body": {"optimizer": {"quality": 1}}}, "optimizer.quality"),
        ({"extra_body": {"optimizer": {"quality_target": 2}}}, "optimizer.quality_target"),
        ({"extra_body": {"optimizer": {"tags": "x"}}}, "optimizer.tags"),
    ],
)
async def test_bad_input_names_its_field(
    openai_sdk: openai.AsyncOpenAI, change: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await openai_sdk.chat.completions.create(**{**QUESTION, **change})
    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"
    assert not await RequestRecord.objects.admitted().aexists()


async def test_unknown_models_are_not_found_and_told_apart(openai_sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="GET /v1/models") as raised:
        await openai_sdk.chat.completions.create(**{**QUESTION, "model": "gpt-0"})
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError, match="openai needs OPENAI_API_KEY"):
        await openai_sdk.chat.completions.create(**{**QUESTION, "model": "gpt-6-luna"})
    unknown_baseline = {"optimizer": {"baseline": "gpt-0"}}
    with pytest.raises(openai.NotFoundError):
        await openai_sdk.chat.completions.create(**QUESTION, extra_body=unknown_baseline)


async def test_limits_of_every_provider_reach_the_client_as_such_and_it_retries(
    served: str, fakes: dict[str, FakeProvider]
) -> None:
    for fake in fakes.values():
        fake.always(Reply({}, 429, {"retry-after-ms": "10"}))
    async with openai.AsyncOpenAI(base_url=f"{served}/v1", api_key="x", max_retries=1) as sdk:
        with pytest.raises(openai.RateLimitError) as raised:
            await sdk.chat.completions.create(**{**QUESTION, "model": GLM})
    assert raised.value.response.headers["retry-after"] == "1"
    # Twice by us, and twice again as the client tries again.
    assert len(fakes["openrouter"].asked) == 4
    assert await RequestRecord.objects.acount() == 2


async def test_what_the_provider_finds_wrong_is_told_in_its_words(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    body = {"error": {"message": "The image is too small.", "type": "x", "code": "x"}}
    fakes["openrouter"].always(Reply(body, 400))
    with pytest.raises(openai.BadRequestError, match=r"The image is too small\."):
        await openai_sdk.chat.completions.create(**{**QUESTION, "model": GLM})
    record = await RequestRecord.objects.aget()
    assert "too small" not in str(record.attempts) + record.error_detail


async def test_an_unknown_path_is_answered_in_openai_s_shape(
    openai_sdk: openai.AsyncOpenAI,
) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await openai_sdk.fine_tuning.jobs.list()
    assert raised.value.type == "invalid_request_error"


async def test_a_quality_target_a_cap_tags_and_a_baseline_are_honoured(
    openai_sdk: openai.AsyncOpenAI,
) -> None:
    wishes = {
        "quality_target": 0.99, "max_cost": 0.5, "tags": ["docs", "batch"], "session_id": "s1",
        "baseline": "claude-opus-5-5",
    }  # fmt: skip
    await openai_sdk.chat.completions.create(**QUESTION, extra_body={"optimizer": wishes})
    record = await RequestRecord.objects.select_related("decision").aget()
    assert (record.tags, record.session_id) == (["docs", "batch"], "s1")
    decision = record.decision
    assert (decision.baseline_provider, decision.baseline_model) == ("claude", "claude-opus-5-5")
    usage = Usage(
        record.tokens_in, record.tokens_out, record.cache_read_tokens, record.cache_write_tokens
    )
    prices = get_services().prices
    assert decision.baseline_cost == prices.cost("claude", "claude-opus-5-5", usage)
    assert record.savings == decision.baseline_cost - record.cost
    with pytest.raises(openai.BadRequestError, match="above the cap"):
        await openai_sdk.chat.completions.create(
            **QUESTION, extra_body={"optimizer": {"max_cost": 0.0000001}}
        )


async def test_embeddings_are_passed_through_priced_and_recorded(
    transactional_db: None, fakes: dict[str, FakeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(embeddings_wire) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        async with (
            on_a_port() as address,
            openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as sdk,
        ):
            raw = await sdk.embeddings.with_raw_response.create(
                model="text-embedding-3-small", input=["The capital", "of France"], dimensions=2
            )
            plain = await sdk.embeddings.create(
                model="text-embedding-3-small", input="x", encoding_format="float"
            )
            with pytest.raises(openai.BadRequestError) as bad:
                await sdk.embeddings.create(model="text-embedding-3-small", input=[])
            with pytest.raises(openai.NotFoundError):
                await sdk.embeddings.create(model="claude-haiku-4-5", input="x")
            price = get_services().prices.cost("openai", "text-embedding-3-small", Usage(5, 0))
    assert [e.embedding for e in raw.parse().data] == [[0.5, -0.25], [0.5, -0.25]]
    assert plain.data[0].embedding == [0.5, -0.25]
    assert bad.value.param == "input"
    assert fake.asked[0].body["dimensions"] == 2
    record = await RequestRecord.objects.filter(prompt="The capital").aget()
    assert (record.endpoint, record.tokens_in, record.cost) == ("embeddings", 5, price)
    assert Decimal(raw.headers["x-optimizer-cost"]) == price > 0
