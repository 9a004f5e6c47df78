"""Shadow evaluation in the service: who is answered twice, by whom, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make
from analytics.models import (
    ApiKey,
    CachedResponse,
    Comparison,
    DailyTotal,
    RequestRecord,
    RoutingRule,
    ShadowAnswer,
    ShadowCount,
)
from analytics.quality.pairs import compared_pairs, comparisons_in
from analytics.rules import rule_save
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import anthropic_message, gemini_response
from tests.optimizer.quality.test_judge import JUDGE, verdicts_by

PROMPT = "What is the capital of France?"
NAMED = "claude-opus-5-5"
ROUTED = "claude-haiku-5-5"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.fixture
async def begin(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> Callable[[], Any]:
    """A service that evaluates every request; routing's model answers Paris, others Lyon."""
    settings.JUDGE_MODEL, settings.JUDGE_RATE, settings.SHADOW_RATE = JUDGE, 0.0, 1.0
    settings.RESPONSE_CACHE = False

    def answer(asked: Asked) -> Reply:
        model = asked.body["model"]
        return Reply(anthropic_message(model, "Paris" if model == ROUTED else "Lyon"))

    fakes["claude"].wire = answer
    fakes["gemini"].wire = verdicts_by(lambda first, _: "first" if first == "Paris" else "second")
    return start


async def ask(client: httpx.AsyncClient, headers: Any = None, **body: Any) -> httpx.Response:
    asked = {"messages": [{"role": "user", "content": PROMPT}], "model": NAMED, **body}
    response = await client.post("/v1/chat/completions", json=asked, headers=headers)
    await get_services().routing.drain()
    return response


async def counts() -> dict[str, int]:
    return {row.outcome: row.requests async for row in ShadowCount.objects.all()}


async def test_a_named_request_is_answered_as_routing_would_have(begin, fakes) -> None:
    client = await begin()
    response = await ask(client, user="ann")
    assert response.json()["model"] == NAMED
    row = await ShadowAnswer.objects.select_related("comparison").aget()
    pair = row.comparison
    assert (pair.provider, pair.model, pair.score) == ("claude", ROUTED, 1.0)
    assert (pair.reference_model, pair.reference_score, pair.served) == (NAMED, 0.5, False)
    assert pair.verdicts == ["first", "second"]
    assert (row.requested_model, row.turn, row.later_turn, row.same_model) == (
        NAMED, "human", False, False,
    )  # fmt: skip
    assert row.served_cost == (await RequestRecord.objects.aget()).cost
    assert row.shadow_cost == pair.answer_cost > 0
    assert await counts() == {"named": 1, "eligible": 1, "sampled": 1, "judged": 1}
    # The second call does not say whose request it is, and nobody but the service pays for it.
    assert "ann" not in str(fakes["claude"].asked[1].body)
    assert (await DailyTotal.objects.aget()).cost == row.served_cost
    assert await sync_to_async(lambda: compared_pairs(comparisons_in(pair.created_at)))() == []
    assert not await CachedResponse.objects.aexists()


async def test_the_same_choice_costs_nothing_and_is_even(begin, fakes) -> None:
    await ask(await begin(), model=ROUTED)
    row = await ShadowAnswer.objects.select_related("comparison").aget()
    assert (row.same_model, row.comparison.score, row.comparison.answer_cost) == (True, 0.5, 0)
    assert row.shadow_cost == row.served_cost
    assert (len(fakes["claude"].asked), len(fakes["gemini"].asked)) == (1, 0)


async def test_an_answer_that_is_cut_off_loses(begin, fakes) -> None:
    client, usual = await begin(), fakes["claude"].wire
    fakes["claude"].wire = lambda asked: (
        Reply(anthropic_message(ROUTED, "Par", stop_reason="max_tokens"))
        if asked.body["model"] == ROUTED
        else usual(asked)
    )
    await ask(client)
    assert (await Comparison.objects.aget()).score == 0.0
    assert not fakes["gemini"].asked


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        ({"tools": [TOOL]}, {}, "tools, images or state"),
        ({"n": 2}, {}, "tools, images or state"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}, IMAGE]}]},
            {}, "tools, images or state",
        ),
        ({}, {"cache-control": "no-store"}, "the client forbids to store"),
        ({"max_tokens": 1}, {}, "asks for no words"),
    ],
)  # fmt: skip
async def test_what_may_not_be_answered_twice(begin, fakes, body, headers, reason: str) -> None:
    client = await begin()
    response = await ask(client, headers, **body)
    assert response.status_code in {200, 400}
    assert not await Comparison.objects.aexists()
    if response.status_code == 200:
        assert await counts() == {"named": 1, reason: 1}


async def test_requests_without_a_named_model_are_not_evaluated(begin) -> None:
    await ask(await begin(), model="auto")
    assert (await counts(), await Comparison.objects.acount()) == ({}, 0)


@pytest.mark.parametrize(
    ("models", "outcome"),
    [
        ([f"claude/{NAMED}"], "the judge may not read it"),
        ([f"claude/{NAMED}", f"gemini/{JUDGE}"], "judged"),
    ],
)
async def test_only_models_that_the_key_allows_see_a_request(
    begin, fakes, settings, models: list[str], outcome: str
) -> None:
    settings.AUTH = "on"
    judge = fakes["gemini"].wire

    def answer_or_judge(asked: Asked) -> Reply:
        judging = "[FIRST ANSWER" in str(asked.body)
        return judge(asked) if judging else Reply(gemini_response("m", "Paris"))

    fakes["gemini"].wire = answer_or_judge
    key = await sync_to_async(key_make)(ApiKey(name="narrow", model_names=models))
    client = await begin()
    response = await ask(client, {"authorization": f"Bearer {key.secret}"})
    assert response.status_code == 200, response.text
    assert (await counts())[outcome] == 1
    assert ROUTED not in {asked.body.get("model") for asked in fakes["claude"].asked}


async def test_a_rule_that_forbids_routing_s_model_is_kept(begin, fakes) -> None:
    rule = RoutingRule(name="no", action="forbid", model_names=[ROUTED], enabled=True)
    await sync_to_async(rule_save)(rule, who="ann")
    await ask(await begin())
    assert (await Comparison.objects.aget()).model != ROUTED


async def test_its_budget_bounds_a_day_and_not_the_judge_s(begin, settings) -> None:
    settings.SHADOW_DAILY_BUDGET = Decimal("0.000001")
    client = await begin()
    await ask(client)
    await ask(client)
    assert await Comparison.objects.acount() == 1
    assert (await counts())["daily budget"] == 1


async def test_a_failed_judgement_is_paid_for_and_counted(begin, fakes) -> None:
    client = await begin()
    fakes["gemini"].wire = lambda asked: Reply({"error": {}}, 500)
    await ask(client)
    row = await Comparison.objects.aget()
    assert (row.score, row.error) == (None, "the judge gave no verdict")
    assert row.answer_cost > 0
    assert (await counts())["the judge gave no verdict"] == 1


async def test_off_by_default(begin, settings) -> None:
    settings.SHADOW_RATE = 0.0
    client = await begin()
    assert get_services().quality.judging.watchers.shadow is None
    await ask(client)
    assert (await counts(), await Comparison.objects.acount()) == ({}, 0)


async def left(*rules: RoutingRule) -> None:
    for rule in rules:
        await sync_to_async(rule_save)(rule, who="ann")
    await get_services().in_background(get_services().rules.refresh)


async def test_a_rule_leaves_named_requests_to_routing(begin, fakes, settings) -> None:
    settings.SHADOW_RATE, settings.BASELINE_MODEL = 0.0, ""
    client = await begin()
    rule = RoutingRule(
        name="leave", action="route", requested_models=["claude-opus-*"], tiers=["simple"],
        only_text=True, enabled=True,
    )  # fmt: skip
    await left(rule)
    answer = await ask(client)
    assert answer.json()["model"] == ROUTED
    record = await RequestRecord.objects.select_related("decision").aget()
    assert (record.requested_model, record.decision.baseline_model) == (NAMED, NAMED)
    assert record.decision.metadata["rules"] == ["leave"]
    assert record.decision.strategy_used.startswith("hybrid")
    # Neither another model nor a request with tools.
    assert (await ask(client, model="claude-sonnet-5-5")).json()["model"] == "claude-sonnet-5-5"
    assert (await ask(client, tools=[TOOL])).json()["model"] == NAMED


async def test_a_request_that_routing_cannot_serve_gets_the_model_it_named(begin, settings) -> None:
    settings.SHADOW_RATE = 0.0
    client = await begin()
    await left(
        RoutingRule(name="leave", action="route", requested_models=["*"], enabled=True),
        RoutingRule(
            name="too dear", action="", cost_cap=Decimal("0.0000000001"), enabled=True,
            requested_models=["nobody"],
        ),
    )  # fmt: skip
    body = {"optimizer": {"quality_target": 0.9}}
    assert (await ask(client, **body)).status_code == 200
