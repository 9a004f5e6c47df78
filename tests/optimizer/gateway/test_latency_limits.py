"""A limit of an answer's latency: asked for by clients and rules, on every API."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.utils import timezone

from analytics.models import RequestRecord, RoutingRule
from analytics.rules import rule_save
from optimizer.wiring.build import get_services
from routing.rules import Rule
from tests.conftest import Start
from tests.factories import RequestRecordFactory
from tests.fakes.server import FakeProvider

PROMPT = {"prompt": "What is the capital of France?"}
SECONDS = {
    ("claude", "claude-haiku-5-5"): 8.0,
    ("gemini", "gemini-3.5-flash-lite"): 1.0,
    ("claude", "claude-opus-5-5"): 20.0,
}


def answered_before() -> None:
    """Answers of 100 tokens, all of whose time passes before they begin."""
    for (provider, model), seconds in SECONDS.items():
        RequestRecordFactory.create_batch(
            25, provider=provider, model=model, tokens_out=100, provider_ms=seconds * 1000,
            ttft_ms=seconds * 1000, tier="complex",
        )  # fmt: skip


@pytest.fixture
async def service(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> httpx.AsyncClient:
    await sync_to_async(answered_before)()
    client = await start()
    services = get_services()
    await services.in_background(services.refreshes.do, "Reading the speed of models")
    return client


async def ask(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/complete", json={**PROMPT, **body})
    assert response.status_code == 200, response.text
    return response.json()


def latencies(metadata: dict[str, Any]) -> dict[str, float | None]:
    return {c["model"]: c.get("expected_latency") for c in metadata["candidates"]}


async def test_a_request_gets_a_model_that_is_fast_enough(service: httpx.AsyncClient) -> None:
    usual = await ask(service)
    assert usual["model"] == "claude-haiku-5-5"
    assert latencies(usual["routing_metadata"])["claude-haiku-5-5"] == pytest.approx(8.0)
    fast = await ask(service, max_latency=2.5)
    assert fast["model"] == "gemini-3.5-flash-lite"
    assert not fast["cache_hit"]
    assert fast["routing_metadata"]["max_latency"] == 2.5
    excluded = {c["model"]: c["reason"] for c in fast["routing_metadata"]["candidates"]}
    assert "above the limit of 2.5 s" in excluded["claude-haiku-5-5"]
    assert "cannot be checked" in excluded["claude-sonnet-5-5"]
    assert (await ask(service, max_latency=2.5))["cache_hit"]


async def test_where_nothing_is_fast_enough_the_fastest_answers(
    service: httpx.AsyncClient,
) -> None:
    answer = await ask(service, max_latency=0.25)
    assert answer["model"] == "gemini-3.5-flash-lite"
    assert "No model is expected to answer within 0.25 s" in answer["routing_metadata"]["reasoning"]


CHATS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": PROMPT["prompt"]}]},
    "/v1/messages": {
        "messages": [{"role": "user", "content": PROMPT["prompt"]}], "max_tokens": 100,
    },
}  # fmt: skip


@pytest.mark.parametrize("path", CHATS)
async def test_other_apis_take_it_as_an_option(service: httpx.AsyncClient, path: str) -> None:
    body = {"model": "auto:complexity", **CHATS[path]}
    answer = await service.post(path, json={**body, "optimizer": {"max_latency": 2}})
    assert answer.headers["x-optimizer-model"] == "gemini-3.5-flash-lite", answer.text
    wrong = await service.post(path, json={**body, "optimizer": {"max_latency": "fast"}})
    assert wrong.status_code == 400
    assert "max_latency" in wrong.text


async def test_the_stricter_of_a_rule_and_the_request_counts(service: httpx.AsyncClient) -> None:
    rule = RoutingRule(name="quick", enabled=True, latency_cap=2)
    await sync_to_async(rule_save)(rule, who="ann")
    await get_services().in_background(get_services().rules.refresh)
    answer = await ask(service, max_latency=30)
    assert answer["model"] == "gemini-3.5-flash-lite"
    assert answer["routing_metadata"]["max_latency"] == 2
    stricter = await ask(service, prompt="And of Spain?", max_latency=1.5)
    assert stricter["routing_metadata"]["max_latency"] == 1.5


@pytest.mark.parametrize("bound", [{"latency_cap": 2}, {"quality_target": 0.6}, {"cost_cap": 1}])
async def test_answers_within_a_rules_bounds_are_not_those_of_others(
    service: httpx.AsyncClient, bound: dict[str, Any]
) -> None:
    rule = RoutingRule(name="chats", enabled=True, tags=["chat"], **bound)
    await sync_to_async(rule_save)(rule, who="ann")
    await get_services().in_background(get_services().rules.refresh)

    async def cache(*tags: str) -> str:
        body = {"model": "auto:complexity", **CHATS["/v1/chat/completions"]}
        answer = await service.post(
            "/v1/chat/completions", json={**body, "optimizer": {"tags": tags}}
        )
        assert answer.status_code == 200, answer.text
        return answer.headers["x-optimizer-cache"]

    assert [await cache("chat"), await cache("chat")] == ["miss", "hit"]
    assert [await cache(), await cache()] == ["miss", "hit"]


def long_answers() -> None:
    """Answers of 1000 tokens on the simple tier, which take ten seconds."""
    RequestRecordFactory.create_batch(
        100, provider="claude", model="claude-haiku-5-5", tokens_out=1000, provider_ms=10_000,
        ttft_ms=1, **PROMPT,
    )  # fmt: skip
    RequestRecordFactory.create_batch(
        25, provider="gemini", model="gemini-3.5-flash-lite", tokens_out=1000, provider_ms=1000,
        ttft_ms=1, created_at=timezone.now() - timedelta(days=1), tier="complex",
    )  # fmt: skip


async def test_a_trial_of_a_rule_expects_the_latency_that_the_service_expects(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    await sync_to_async(long_answers)()
    client = await start()
    services = get_services()
    await services.in_background(services.refreshes.do, "Reading the speed of models")
    await services.in_background(services.refreshes.do, "Reading the lengths of answers")
    limited = (await client.get("/routing/decision", params={**PROMPT, "max_latency": 5})).json()
    reasons = {c["model"]: c["reason"] for c in limited["metadata"]["candidates"]}
    assert "above the limit of 5 s" in reasons["claude-haiku-5-5"]

    quick = Rule("quick", latency_cap=5)
    trial = await sync_to_async(services.rule_previews.of_last)(100, [quick])
    assert trial.changed == 100
    assert trial.after == {"gemini/gemini-3.5-flash-lite": 100}


@pytest.mark.django_db(transaction=True)
def test_the_command_that_tries_rules_knows_the_speed_of_models(
    fakes: dict[str, FakeProvider], tmp_path: Path
) -> None:
    long_answers()
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nname = "quick"\nlatency_cap = 5\n')
    out = io.StringIO()
    command = ("rules", "--try", "--file", str(rules), "--last", "100")
    call_command(*command, stdout=out)
    assert "100 would be answered by another model" in out.getvalue()
    assert "latency" not in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_trial_says_where_a_latency_cap_was_not_checked(
    fakes: dict[str, FakeProvider], tmp_path: Path
) -> None:
    RequestRecordFactory.create_batch(3)
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nname = "quick"\nlatency_cap = 5\n')
    out = io.StringIO()
    call_command("rules", "--try", "--file", str(rules), stdout=out)
    text = " ".join(out.getvalue().split())
    assert "3 were tried without their latency cap: the speed of no model is known." in text


@pytest.mark.parametrize("path", ["/recommendation", "/routing/decision"])
async def test_recommendations_take_it(service: httpx.AsyncClient, path: str) -> None:
    answer = (await service.get(path, params={**PROMPT, "max_latency": "2"})).json()
    assert answer.get("decision", answer)["model"] == "gemini-3.5-flash-lite"
    for wrong in ("-1", "nan", "inf", "soon", "1e9"):
        response = await service.get(path, params={**PROMPT, "max_latency": wrong})
        assert response.status_code == 400
        assert "max_latency" in response.json()["errors"]


@pytest.mark.parametrize("wrong", [-1, "2", True, None, 1e9, [2]])
async def test_a_wrong_limit_is_refused_by_its_name(
    service: httpx.AsyncClient, wrong: object
) -> None:
    response = await service.post("/complete", json={**PROMPT, "max_latency": wrong})
    assert response.status_code == 400
    assert "max_latency" in response.json()["errors"]


async def test_nan_is_no_limit(service: httpx.AsyncClient) -> None:
    body = json.dumps({**PROMPT, "max_latency": float("nan")})
    response = await service.post(
        "/complete", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400


async def test_the_command_shows_it(service: httpx.AsyncClient) -> None:
    def run(*arguments: str) -> str:
        out = io.StringIO()
        call_command("route", PROMPT["prompt"], *arguments, stdout=out)
        return out.getvalue()

    text = await sync_to_async(run)("--max-latency", "2")
    assert text.startswith("gemini/gemini-3.5-flash-lite")
    assert "8.0 s" in text
    with pytest.raises(CommandError, match="--max-latency"):
        await sync_to_async(run)("--max-latency", "-1")


async def test_what_is_recorded_has_the_latencies(service: httpx.AsyncClient) -> None:
    answer = await ask(service, max_latency=2.5)
    record = await RequestRecord.objects.select_related("decision").aget(pk=answer["request_id"])
    assert latencies(record.decision.metadata)["gemini-3.5-flash-lite"] == pytest.approx(1.0)
