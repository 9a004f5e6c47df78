"""Budgets, keys, rules and regions hold for models that do one thing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make
from analytics.budgets.opening import budget_open
from analytics.models import ApiKey, Budget, BudgetHold, BudgetUsage, RequestRecord, RoutingRule
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider
from tests.fakes.specialised import wav
from tests.optimizer.api.compat.specialised.conftest import IMAGE, IMAGE_COST, SOUND


async def budget_of(limit: str) -> None:
    name = f"budget {limit}"
    await sync_to_async(budget_open)(Budget(name=name, period="month", limit=Decimal(limit)))
    await sync_to_async(get_services().budgets.refresh)()


async def rule(**fields: Any) -> None:
    await RoutingRule.objects.acreate(enabled=True, **fields)
    await sync_to_async(get_services().rules.refresh)()


@pytest.mark.parametrize(
    ("task", "sent", "enough", "cost"),
    [
        # An image of USD 0.21 at most: 1536x1024 in high quality, at USD 30 a million tokens.
        ("images/generations", {"json": IMAGE}, "0.25", IMAGE_COST),
        ("images/edits", {"data": IMAGE, "files": {"image": ("a.png", b"a")}}, "0.50", IMAGE_COST),
        # WAV says how long it is: 30 seconds at USD 0.36 an hour are 0.003.
        ("audio/transcriptions", {"data": {"model": "whisper-1"},
                                  "files": {"file": ("a.wav", wav(30))}}, "0.0031", "0.0095"),
        ("audio/speech", {"json": {"model": "tts-1", "input": "Good morning"}}, "0.0002",
         "0.00018"),
        ("rerank", {"json": {"model": "rerank-v3.5", "query": "x", "documents": ["y"] * 250}},
         "0.006", "0.002"),
    ],
)  # fmt: skip
async def test_a_budget_holds_before_the_call(
    http: httpx.AsyncClient, fake: FakeProvider, task: str, sent: dict[str, Any], enough: str,
    cost: Any,
) -> None:  # fmt: skip
    await budget_of(str(Decimal(enough) / 5))
    refused = await http.post(f"/v1/{task}", **sent)
    assert refused.status_code == 429, refused.text
    assert refused.json()["error"]["code"] == "budget_exceeded"
    assert fake.asked == []
    await Budget.objects.all().adelete()
    await budget_of(enough)
    served = await http.post(f"/v1/{task}", **sent)
    assert served.status_code == 200, served.text
    await served.aread()
    usage = await BudgetUsage.objects.aget()
    assert usage.spent == Decimal(cost)
    assert not await BudgetHold.objects.aexists()


async def test_a_budget_allows_no_model_without_a_price(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    await budget_of("100")
    body = {"model": "rerank-v4.0-fast", "query": "Capital?", "documents": ["Paris"]}
    answer = await http.post("/v1/rerank", json=body)
    assert answer.status_code >= 400
    assert "price is unknown" in answer.text


async def test_a_key_may_use_its_models_alone(http: httpx.AsyncClient, fake: FakeProvider) -> None:
    key = ApiKey(name="speaker", model_names=["openai/tts-1"])

    made = await sync_to_async(key_make)(key)
    await sync_to_async(get_services().api_keys.refresh)()
    headers = {"authorization": f"Bearer {made.secret}"}
    answer = await http.post("/v1/images/generations", json=IMAGE, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert fake.asked == []
    allowed = await http.post(
        "/v1/audio/speech", json={"model": "tts-1", "input": "Hi"}, headers=headers
    )
    assert allowed.status_code == 200
    anonymous = await http.post("/v1/moderations", json={"input": "Hi"})
    assert anonymous.status_code == 401


async def test_what_a_rule_forbids_is_not_called_for_any_task(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    await rule(name="no OpenAI", action="forbid", model_names=["openai/*"], tags=["legal"])
    await rule(name="no Acme", action="forbid", model_names=["tts-*"], texts=["acme"])
    tagged = {"optimizer": {"tags": ["legal"]}}
    for path, body in (
        ("images/generations", IMAGE),
        ("audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}),
        ("moderations", {"input": "Hello"}),
        ("embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    ):
        answer = await http.post(f"/v1/{path}", json={**body, **tagged})
        assert (answer.status_code, path) == (400, path), answer.text
        assert 'forbidden by the rule "no OpenAI"' in answer.json()["error"]["message"]
    form = {"model": "whisper-1", "optimizer": '{"tags": ["legal"]}'}
    answer = await http.post("/v1/audio/transcriptions", data=form, files=SOUND)
    assert answer.status_code == 400
    spoken = {"model": "tts-1", "voice": "alloy"}
    answer = await http.post("/v1/audio/speech", json={**spoken, "input": "Ask Acme"})
    assert (answer.status_code, "no Acme" in answer.text) == (400, True)
    assert not fake.asked
    assert (await http.post("/v1/moderations", json={"input": "Ask Acme"})).status_code == 200
    body = {"model": "jina-reranker-v3", "query": "a", "documents": ["a", "b"], **tagged}
    assert (await http.post("/v1/rerank", json=body)).status_code == 200


async def test_a_rule_that_forces_models_refuses_others_for_any_task(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    await rule(name="art", action="force", model_names=[IMAGE["model"]], tags=["art"])
    tagged = {"optimizer": {"tags": ["art"]}}
    for path, body in (
        ("audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}),
        ("rerank", {"model": "jina-reranker-v3", "query": "a", "documents": ["a", "b"]}),
        ("embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    ):
        answer = await http.post(f"/v1/{path}", json={**body, **tagged})
        assert (answer.status_code, path) == (400, path), answer.text
        assert 'the rule "art" forces another model' in answer.json()["error"]["message"]
    assert not fake.asked
    answer = await http.post("/v1/images/generations", json={**IMAGE, **tagged})
    assert answer.status_code == 200
    record = await RequestRecord.objects.select_related("decision").aget(status="ok")
    assert record.decision.metadata["rules"] == ["art"]


async def test_nothing_leaves_the_regions_that_are_demanded(
    http: httpx.AsyncClient, fake: FakeProvider
) -> None:
    for place in ("header", "field", "key"):
        headers, options = {}, {}
        if place == "header":
            headers = {"x-optimizer-residency": "eu"}
        elif place == "field":
            options = {"optimizer": {"residency": "eu"}}
        else:
            made = await sync_to_async(key_make)(ApiKey(name="ann", residency=["eu"]))
            await sync_to_async(get_services().api_keys.refresh)()
            headers = {"authorization": f"Bearer {made.secret}"}
        for path, body in (
            ("images/generations", IMAGE),
            ("audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}),
            ("moderations", {"input": "Hello"}),
        ):
            answer = await http.post(f"/v1/{path}", json={**body, **options}, headers=headers)
            assert answer.status_code == 400, (place, path, answer.text)
            assert answer.json()["error"]["code"] == "outside_residency"
        body = {"model": "jina-reranker-v3", "query": "a", "documents": ["a", "b"], **options}
        assert (await http.post("/v1/rerank", json=body, headers=headers)).status_code == 200
    form = {"model": "whisper-1", "optimizer": '{"residency": "eu"}'}
    answer = await http.post("/v1/audio/transcriptions", data=form, files=SOUND, headers=headers)
    assert answer.status_code == 400
    assert not fake.asked
