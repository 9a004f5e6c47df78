"""While a lever is being proven, its answers are judged beside answers without it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.models import Comparison, Lever, RequestRecord
from analytics.quality.pairs import compared_pairs, comparisons_in
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.levers.plans import Plan, RequestLevers
from optimizer.wiring.build import get_services
from providers.chat import Chat, Tool
from tests.conftest import Start
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import anthropic_message
from tests.optimizer.gateway.cache.semantic.test_semantic import needs_embeddings
from tests.optimizer.quality.test_judge import JUDGE, verdicts_by

MODEL = "claude-haiku-5-5"


class _Short:
    name = "short_answers"

    def plan(self, analyzed: Any, decision: Any, options: Any) -> Plan:
        def apply(request: GatewayRequest) -> GatewayRequest:
            return replace(request, chat=Chat.of_prompt("Be short. " + request.prompt, 50))

        return Plan(apply)


async def ask(client: httpx.AsyncClient, content: str) -> None:
    asked = {"messages": [{"role": "user", "content": content}], "model": MODEL}
    response = await client.post("/v1/chat/completions", json=asked)
    assert response.status_code == 200, response.text
    await get_services().routing.drain()


@pytest.fixture
def judged(fakes: dict[str, FakeProvider], settings: Any) -> None:
    """Everything is judged; the judge likes long answers, which short prompts do not get."""
    settings.JUDGE_MODEL, settings.JUDGE_RATE, settings.LEVER_JUDGE_RATE = JUDGE, 0.0, 1.0

    def answer(asked: Asked) -> Reply:
        short = "Be short" in json.dumps(asked.body)
        text = "Paris" if short else "Paris, the capital"
        return Reply(anthropic_message(asked.body["model"], text))

    fakes["claude"].wire = answer
    fakes["gemini"].wire = verdicts_by(
        lambda first, second: "first" if len(first) > len(second) else "second"
    )


@pytest.mark.usefixtures("judged")
async def test_the_same_model_answers_once_more_without_the_lever(
    transactional_db: None, start: Start
) -> None:
    await Lever.objects.acreate(name="short_answers", mode="prove", control_share=0.5)
    client = await start()
    services = get_services()
    services.routing._calls._levers = RequestLevers(services.levers, [_Short()])
    for n in range(10):
        await ask(client, f"What is the capital of France, {n}?")
    treated = {
        row.pk
        async for row in RequestRecord.objects.all()
        if row.levers["short_answers"]["arm"] == "treated"
    }
    pairs = [one async for one in Comparison.objects.all()]
    assert {one.request_id for one in pairs} == treated
    assert {(one.strategy, one.source, one.model, one.reference_model) for one in pairs} == {
        ("short_answers", "lever", MODEL, MODEL)
    }
    assert {(one.score, one.reference_score, one.served) for one in pairs} == {(0.0, 0.5, False)}
    assert all(one.answer_cost > 0 and one.judge_cost > 0 for one in pairs)
    since = min(one.created_at for one in pairs)
    # It says nothing of one model beside another one.
    assert not await sync_to_async(lambda: compared_pairs(comparisons_in(since)))()


@needs_embeddings
@pytest.mark.usefixtures("judged")
async def test_an_answer_of_the_semantic_cache_that_was_left_alone_is_judged(
    transactional_db: None, start: Start, settings: Any, fakes: dict[str, FakeProvider]
) -> None:
    settings.SEMANTIC_CACHE = True
    await Lever.objects.acreate(name="semantic_cache", mode="prove", control_share=0.9)
    client = await start()
    wordings = ("What is the capital of France?", "what's the capital of France?")
    await ask(client, wordings[0])
    for n in range(6):
        fakes["claude"].always(Reply(anthropic_message(MODEL, "Paris, the capital" + "!" * n)))
        await ask(client, wordings[1] if n % 2 else f"{wordings[1]} Please")
    rows = [row async for row in RequestRecord.objects.exclude(levers=None)]
    alone = {row.pk for row in rows if row.levers["semantic_cache"]["arm"] == "control"}
    assert alone
    pairs = [one async for one in Comparison.objects.all()]
    assert {one.request_id for one in pairs} == alone
    assert {(one.strategy, one.answer_cost) for one in pairs} == {("semantic_cache", 0)}
    assert all(one.judge_cost > 0 and one.score is not None for one in pairs)


@pytest.mark.usefixtures("judged")
async def test_a_cached_answer_that_was_left_alone_is_no_answer_without_another_lever(
    transactional_db: None, start: Start
) -> None:
    await Lever.objects.acreate(name="response_cache", mode="prove", control_share=0.9)
    await Lever.objects.acreate(name="short_answers", mode="prove", control_share=0.01)
    client = await start()
    services = get_services()
    services.routing._calls._levers = RequestLevers(services.levers, [_Short()])
    for n in range(9):
        await ask(client, f"What is the capital of {('France', 'Spain', 'Peru')[n % 3]}?")
    rows = [row async for row in RequestRecord.objects.filter(levers__has_key="response_cache")]
    assert any(len(row.levers) == 2 for row in rows)
    pairs = [one async for one in Comparison.objects.all()]
    assert pairs
    assert {(one.strategy, one.score) for one in pairs} == {("short_answers", 0.0)}
    assert all(one.answer_cost > 0 for one in pairs)


class _Tooled:
    name = "compression"

    def plan(self, analyzed: Any, decision: Any, options: Any) -> Plan:
        def apply(request: GatewayRequest) -> GatewayRequest:
            return replace(request, chat=replace(request.chat, tools=(Tool("more", "", {}),)))

        return Plan(apply)


@pytest.mark.usefixtures("judged")
async def test_a_tool_that_a_lever_adds_keeps_no_answer_from_the_judge(
    transactional_db: None, start: Start, settings: Any
) -> None:
    settings.JUDGE_RATE, settings.LEVER_JUDGE_RATE = 1.0, 0.0
    await Lever.objects.acreate(name="compression", mode="on")
    client = await start()
    services = get_services()
    services.routing._calls._levers = RequestLevers(services.levers, [_Tooled()])
    await ask(client, "What is the capital of France?")
    assert [one.source async for one in Comparison.objects.all()] == ["judge"]


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("mode", ["off", "on"])
async def test_a_lever_that_is_not_being_proven_is_not_judged(
    transactional_db: None, start: Start, mode: str
) -> None:
    await Lever.objects.acreate(name="short_answers", mode=mode)
    client = await start()
    services = get_services()
    services.routing._calls._levers = RequestLevers(services.levers, [_Short()])
    await ask(client, "What is the capital of France?")
    assert not await Comparison.objects.acount()
