"""Images: with the official SDK, streamed, priced and recorded.

Prices are those of the price package (genai-prices), which has them from
https://developers.openai.com/api/docs/pricing.
"""

from __future__ import annotations

from decimal import Decimal

import httpx
import openai
import pytest

from analytics.models import RequestRecord
from tests.conftest import Start
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.specialised import IMAGE_USAGE, PNG, form_of
from tests.fakes.wires import KEY
from tests.optimizer.api.compat.specialised.conftest import IMAGE, IMAGE_COST, record_of


async def test_images_with_the_sdk(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    raw = await sdk.images.with_raw_response.generate(
        **IMAGE, n=2, quality="low", extra_body={"optimizer": {"tags": ["art"]}}
    )
    images = raw.parse()
    assert [image.b64_json for image in images.data or ()] == [PNG, PNG]
    assert images.usage is not None
    assert images.usage.output_tokens == 400
    assert fake.asked[0].body == {**IMAGE, "n": 2, "quality": "low"}
    record = await record_of("images/generations")
    assert (record.status, record.cost, record.price_basis) == ("ok", IMAGE_COST, "table")
    assert (record.prompt, record.tags) == ("A lighthouse", ["art"])
    assert (record.tokens_in, record.tokens_out) == (50, 400)
    assert record.billed_units == {
        "image_input_tokens": 40, "image_output_tokens": 400, "images": 2,
        "image_variant": "low 1024x1024",
    }  # fmt: skip
    assert Decimal(raw.headers["x-optimizer-cost"]) == IMAGE_COST
    assert raw.headers["x-optimizer-model"] == "gpt-image-2.5-flare"


async def test_images_are_streamed_and_recorded_before_the_last_event(
    sdk: openai.AsyncOpenAI,
) -> None:
    stream = await sdk.images.generate(**IMAGE, stream=True, partial_images=1)
    seen = [(event.type, await RequestRecord.objects.acount()) async for event in stream]
    assert [name for name, _ in seen] == [
        "image_generation.partial_image", "image_generation.completed",
    ]  # fmt: skip
    assert seen[-1][1] == 1
    record = await record_of("images/generations")
    assert (record.cost, record.streamed) == (IMAGE_COST, True)
    assert record.ttft_ms is not None


async def test_images_are_changed_with_the_sdk(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    picture = b"\x89PNG\r\n\x1a\n\0\xff--odd\r\n"
    images = await sdk.images.edit(
        model="openai/gpt-image-2.5-flare", prompt="Add a boat", n=1,
        image=[("a.png", picture, "image/png"), ("b.png", b"b", "image/png")],
    )  # fmt: skip
    assert images.data is not None
    assert images.data[0].b64_json == PNG
    form = form_of(fake.asked[0])
    assert form["model"] == [b"gpt-image-2.5-flare"]
    assert (form["prompt"], form["n"], form["image[]"]) == (
        [b"Add a boat"],
        [b"1"],
        [picture, b"b"],
    )
    record = await record_of("images/edits")
    assert (record.cost, record.requested_model) == (IMAGE_COST, "openai/gpt-image-2.5-flare")


async def test_deployments_of_azure_draw(
    fake: FakeProvider, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.url)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENTS", "gpt-image-2.5-flare=pictures")
    fake.always(Reply({"created": 1, "data": [{"b64_json": PNG}], "usage": IMAGE_USAGE}))
    http = await start()
    body = {**IMAGE, "model": "azure/gpt-image-2.5-flare"}
    answer = await http.post("/v1/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    (asked,) = fake.asked
    assert (asked.path, asked.body["model"]) == ("/openai/v1/images/generations", "pictures")
    assert asked.headers["api-key"] == KEY
    assert (await record_of("images/generations")).provider == "azure"


async def test_images_are_priced_by_their_size(http: httpx.AsyncClient, fake: FakeProvider) -> None:
    made = {"created": 1, "data": [{"url": "https://x.ai/1"}, {"url": "https://x.ai/2"}]}
    for resolution, cost in (("2k", "0.14"), ("1k", "0.04")):
        fake.next(Reply(made))
        body = {"model": "grok-imagine-image", "prompt": "A boat", "resolution": resolution, "n": 2}
        answer = await http.post("/v1/images/generations", json=body)
        assert answer.json() == made
        assert Decimal(answer.headers["x-optimizer-cost"]) == Decimal(cost)


async def test_what_the_provider_says_it_charged_counts(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    usage = {"cost_in_usd_ticks": 500_000_000}
    fake.next(Reply({"created": 1, "data": [{"url": "https://x.ai/1"}], "usage": usage}))
    body = {"model": "grok-imagine-image-2.0", "prompt": "A boat"}
    answer = await http.post("/v1/images/generations", json=body)
    assert answer.status_code == 200
    record = await record_of("images/generations")
    assert (record.cost, record.price_basis) == (Decimal("0.05"), "reported")
