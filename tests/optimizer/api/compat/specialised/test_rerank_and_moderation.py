"""Ranking and moderation: passed on, priced and recorded."""

from __future__ import annotations

from decimal import Decimal

import httpx
import openai

from tests.fakes.server import FakeProvider
from tests.optimizer.api.compat.specialised.conftest import record_of


async def test_moderations_with_the_sdk(sdk: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    moderation = await sdk.moderations.create(input=["Good morning", "Good night"])
    assert moderation.results[0].flagged is False
    assert fake.asked[0].body["model"] == "omni-moderation-latest"
    record = await record_of("moderations")
    assert (record.cost, record.price_basis, record.prompt) == (0, "table", "Good morning")


async def test_documents_are_ranked_by_cohere(http: httpx.AsyncClient) -> None:
    body = {
        "model": "rerank-v3.5", "query": "Capital?", "top_n": 1, "return_documents": True,
        "documents": [{"text": "Paris"}, "Berlin"],
    }  # fmt: skip
    answer = await http.post("/v1/rerank", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"] == [
        {"index": 0, "relevance_score": 0.9, "document": {"text": "Paris"}}
    ]
    record = await record_of("rerank")
    # The catalogue of this test has USD 2 per thousand search units.
    assert (record.cost, record.billed_units) == (Decimal("0.002"), {"search_units": 1})
    assert record.prompt == "Capital?"


async def test_cohere_s_clients_use_a_path_of_their_own(http: httpx.AsyncClient) -> None:
    body = {"model": "rerank-v3.5", "query": "Capital?", "documents": ["Paris", "Berlin"]}
    answer = await http.post("/v2/rerank", json=body)
    assert [result["index"] for result in answer.json()["results"]] == [0, 1]
    assert (await record_of("rerank")).cost == Decimal("0.002")
    assert (await http.post("/v2/rerank", json={**body, "documents": []})).status_code == 400


async def test_documents_are_ranked_by_jina(http: httpx.AsyncClient) -> None:
    body = {"model": "jina-reranker-v3", "query": "Capital?", "documents": ["Paris", "Berlin"]}
    answer = await http.post("/v1/rerank", json=body)
    assert [result["index"] for result in answer.json()["results"]] == [0, 1]
    record = await record_of("rerank")
    assert (record.tokens_in, record.cost) == (240, Decimal("0.000012"))


async def test_a_price_that_is_not_known_makes_the_cost_unknown(http: httpx.AsyncClient) -> None:
    body = {"model": "rerank-v4.0-fast", "query": "Capital?", "documents": ["Paris"]}
    answer = await http.post("/v1/rerank", json=body)
    assert answer.status_code == 200
    record = await record_of("rerank")
    assert (record.cost, record.price_basis) == (None, "unknown")
