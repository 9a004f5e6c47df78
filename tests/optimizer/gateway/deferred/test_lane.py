"""Requests that may wait are answered by batches, once each, at the price of batches."""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_revoke
from analytics.models import (
    ApiKey,
    BudgetUsage,
    Comparison,
    DeferredRequest,
    Lever,
    ProviderBatch,
    RequestRecord,
    RoutingRule,
)
from optimizer.gateway.deferred.options import LaneOptions, lane_options
from optimizer.gateway.deferred.webhooks import Webhooks
from optimizer.shared.webhooks import signed_headers
from optimizer.wiring.build import build_services, get_services
from providers.completion import Usage
from tests.conftest import Start
from tests.factories import BudgetFactory
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import ANSWER
from tests.optimizer.api.relayed.conftest import key_of
from tests.optimizer.gateway.deferred.conftest import (
    MODELS,
    PROMPT,
    Fakes,
    ask,
    ask_many,
    begin,
    held,
    lane,
    pass_time,
    rows,
    state_of,
    work,
)

GATHERED = 301
LOOKED_AT = 61
TWELVE_HOURS = 12 * 3600


async def budget(limit: str = "1") -> Any:
    made = await sync_to_async(BudgetFactory)(limit=Decimal(limit))
    await sync_to_async(get_services().budgets.refresh)()
    return made


async def spent() -> Decimal:
    return sum([row.spent async for row in BudgetUsage.objects.all()], Decimal(0))


@pytest.mark.parametrize("provider", list(MODELS))
async def test_requests_are_answered_by_one_batch_at_half_the_price(
    client: httpx.AsyncClient, batch_fakes: Fakes, provider: str
) -> None:
    await budget()
    model = MODELS[provider]
    ids = await ask_many(client, 3, model)
    assert await held() > 0
    await work()
    _, fake = batch_fakes[provider]
    assert not fake.batches, "they are gathered for a while"
    await pass_time(GATHERED)
    await work()
    assert [len(batch.lines) for batch in fake.batches.values()] == [3]
    assert (await state_of(client, ids[0]))["status"] == "in_batch"
    fake.end()
    await pass_time(LOOKED_AT)
    await work()
    for request_id in ids:
        body = await state_of(client, request_id)
        assert (body["status"], body["status_code"]) == ("done", 200)
        answer = body["result"]
        assert answer["choices"][0]["message"]["content"] == ANSWER
        alone = await client.get(f"/v1/deferred/{request_id}/result")
        assert alone.json()["choices"] == answer["choices"]
        assert alone.headers["x-optimizer-provider"] == provider
    recorded = await rows()
    assert sorted(str(row.id) for row in recorded) == sorted(ids)
    prices = get_services().prices
    for row in recorded:
        usage = Usage(
            row.tokens_in, row.tokens_out, row.cache_read_tokens, row.cache_write_tokens,
            service_tier="batch",
        )  # fmt: skip
        assert row.cost == prices.cost(provider, model, usage)
        assert row.billed_units is not None
        assert row.billed_units["service_tier"] == "batch"
        assert row.levers is not None
        assert row.levers["batch"]["arm"] == "treated"
        assert row.savings is not None
        assert row.savings > 0
    assert await held() == 0
    assert await spent() == sum(row.cost for row in recorded if row.cost)
    assert fake.deleted, "nothing is left at the provider"


async def test_answers_of_batches_are_judged_as_others_are(
    batch_fakes: Fakes, transactional_db: None, settings: Any, start: Start
) -> None:
    settings.LEVERS = "batch:on"
    settings.JUDGE_MODEL, settings.JUDGE_RATE = MODELS["gemini"], 1.0
    client = await begin(start)
    (request_id,) = await ask_many(client, 1, optimizer={"baseline": MODELS["claude"]})
    await pass_time(GATHERED)
    await work()
    batch_fakes["openai"][1].end()
    await pass_time(LOOKED_AT)
    await work()
    await get_services().routing.drain()
    (row,) = [row async for row in Comparison.objects.all()]
    assert str(row.request_id) == request_id
    assert (row.model, row.reference_model) == (MODELS["openai"], MODELS["claude"])


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"deadline": "30m"}},
        {"optimizer": {"deadline": None}},
        {"headers": {"prefer": "return=minimal"}},
    ],
)
async def test_a_request_that_cannot_wait_is_answered_at_once(
    client: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    assert (await ask(client, **changes)).status_code == 200
    assert not await DeferredRequest.objects.aexists()


async def test_what_a_client_gets_in_place_of_the_answer(client: httpx.AsyncClient) -> None:
    body = {"prompt": PROMPT, "deadline": "6h", "async": True}
    answer = await client.post("/complete", json=body)
    assert answer.status_code == 202
    given = answer.json()
    assert answer.headers["location"] == given["url"] == f"/v1/deferred/{given['id']}"
    assert answer.headers["preference-applied"] == "respond-async"
    assert (given["status"], given["model"]) == ("waiting", "claude-haiku-5-5")
    open_yet = await client.get(given["url"] + "/result")
    assert (open_yet.status_code, open_yet.headers["retry-after"]) == (202, "60")
    assert (await client.delete(given["url"])).status_code == 409
    assert (await client.post(given["url"] + "/cancel")).json()["status"] == "cancelled"
    gone = await client.get(given["url"] + "/result")
    assert (gone.status_code, gone.json()["code"]) == (409, "cancelled")
    assert (await client.post(given["url"] + "/cancel")).status_code == 409
    assert (await client.delete(given["url"])).status_code == 204
    assert (await client.get(given["url"])).status_code == 404


async def test_the_answer_of_complete_is_the_usual_one(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    body = {"prompt": PROMPT, "deadline": "6h", "async": True}
    place = (await client.post("/complete", json=body)).json()["url"]
    await pass_time(GATHERED)
    await work()
    batch_fakes["claude"][1].end()
    await pass_time(LOOKED_AT)
    await work()
    usual = (await client.post("/complete", json={"prompt": "Another question?"})).json()
    given = (await client.get(place + "/result")).json()
    assert given.keys() == usual.keys()
    assert (given["response"], given["request_id"]) == (ANSWER, place.rpartition("/")[2])
    events = await client.get(place + "/events")
    assert "event: result" in events.text


async def test_other_tenants_see_nothing(client: httpx.AsyncClient) -> None:
    red, blue = await key_of("red"), await key_of("blue")
    (request_id,) = await ask_many(client, 1, headers=red)
    place = f"/v1/deferred/{request_id}"
    for method, path in (
        ("GET", place), ("GET", place + "/result"), ("GET", place + "/events"),
        ("POST", place + "/cancel"), ("DELETE", place),
    ):  # fmt: skip
        assert (await client.request(method, path, headers=blue)).status_code == 404
    assert (await state_of(client, request_id, headers=red))["status"] == "waiting"


async def test_lines_that_fail_or_are_missing_are_asked_one_by_one(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    await budget()
    server, fake = batch_fakes["openai"]
    fates = {"0": "failed", "1": "missing", "2": "answered", "3": "expired"}
    fake.fate = lambda text: next(f for n, f in fates.items() if f"France? {n}" in text)
    ids = await ask_many(client, 4)
    await pass_time(GATHERED)
    await work()
    fake.end()
    await pass_time(LOOKED_AT)
    await work(2)
    singles = [call for call in server.asked if call.path == "/chat/completions"]
    assert len(singles) == 2
    # What expired waits for another batch.
    assert [len(batch.lines) for batch in fake.batches.values()] == [4, 1]
    fake.fate = lambda text: "answered"
    fake.end()
    await pass_time(LOOKED_AT)
    await work()
    assert {(await state_of(client, one))["status"] for one in ids} == {"done"}
    assert len(await rows()) == 4
    assert await held() == 0
    assert await spent() == sum(row.cost for row in await rows() if row.cost)


async def test_before_the_deadline_the_batch_is_cancelled_and_calls_are_made(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    await budget()
    server, fake = batch_fakes["openai"]
    ids = await ask_many(client, 2)
    await pass_time(GATHERED)
    await work()
    await pass_time(TWELVE_HOURS - GATHERED - 1700)
    await work()
    (batch,) = fake.batches.values()
    assert batch.cancelled
    assert (await state_of(client, ids[0]))["status"] == "in_batch", "it may still answer"
    fake.end(cancelled=True)
    await pass_time(LOOKED_AT)
    await work(2)
    assert {(await state_of(client, one))["status"] for one in ids} == {"done"}
    assert len([call for call in server.asked if call.path == "/chat/completions"]) == 2
    assert (await held(), len(await rows())) == (0, 2)


async def test_a_batch_that_does_not_end_is_not_waited_for_and_its_cost_is_recorded(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    await budget()
    _, fake = batch_fakes["openai"]
    (request_id,) = await ask_many(client, 1)
    await pass_time(GATHERED)
    await work()
    await pass_time(TWELVE_HOURS - GATHERED - 800)
    await work()
    assert (await state_of(client, request_id))["status"] == "done"
    assert await held() > 0, "the batch may still cost something"
    fake.end()
    await pass_time(LOOKED_AT)
    await work()
    recorded = {row.error_code: row for row in await rows()}
    assert set(recorded) == {"", "superseded"}
    late = recorded["superseded"]
    assert (str(late.id), late.status) == (request_id, "partial")
    assert late.cost is not None
    assert late.cost > 0
    assert await held() == 0
    assert await spent() == sum(row.cost for row in recorded.values() if row.cost)
    # Both are one request of the lever's arm.
    (called,) = (row for row in recorded.values() if row is not late)
    assert called.levers is not None
    assert late.levers is not None
    assert called.levers["batch"]["part_of"] == request_id
    assert "part_of" not in late.levers["batch"]


async def test_what_an_unusable_answer_cost_counts_in_the_request_s_arm(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    await budget()
    _, fake = batch_fakes["openai"]
    (request_id,) = await ask_many(client, 1)
    await pass_time(GATHERED)
    await work()
    fake.end()
    (batch,) = fake.batches.values()
    batch.results[0]["response"]["body"]["choices"] = []
    await pass_time(LOOKED_AT)
    await work(2)
    assert (await state_of(client, request_id))["status"] == "done"
    unusable, answered = sorted(await rows(), key=lambda row: row.error_code, reverse=True)
    assert (unusable.error_code, str(answered.id)) == ("empty_completion", request_id)
    assert unusable.cost
    assert unusable.levers is not None
    assert answered.levers is not None
    trial = answered.levers["batch"]
    assert trial["arm"] == "treated"
    assert unusable.levers == {"batch": {**trial, "part_of": request_id}}


async def test_a_batch_is_in_no_tier_of_its_own(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    services = get_services()
    services.levers._fixed["flex"] = "on"
    await sync_to_async(services.levers.refresh)()
    (request_id,) = await ask_many(client, 1, MODELS["gemini"])
    waiting = await DeferredRequest.objects.aget()
    await pass_time(GATHERED)
    await work()
    batch_fakes["gemini"][1].end()
    await pass_time(LOOKED_AT)
    await work()
    record = await RequestRecord.objects.select_related("decision").aget(id=request_id)
    assert waiting.provider == "gemini"
    assert record.levers is not None
    assert set(record.levers) == {"batch"}
    said = json.dumps(record.decision.metadata, default=str) + record.decision.reasoning
    assert "flex" not in said


async def test_past_its_deadline_a_request_ends_with_a_clear_error_and_no_charge(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    await budget()
    server, _ = batch_fakes["openai"]
    (request_id,) = await ask_many(client, 1)
    await pass_time(TWELVE_HOURS + 1)
    await work()
    body = await state_of(client, request_id)
    assert (body["status"], body["status_code"]) == ("expired", 504)
    assert body["result"]["error"]["code"] == "deadline_passed"
    (row,) = await rows()
    assert (row.status, row.error_code, row.cost) == ("error", "deadline_passed", 0)
    assert (await held(), await spent(), server.asked) == (0, 0, [])


async def test_a_cancelled_request_is_not_sent_and_one_in_a_batch_is_paid_and_not_given(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    await budget()
    _, fake = batch_fakes["openai"]
    before, within, kept = await ask_many(client, 3)
    await client.post(f"/v1/deferred/{before}/cancel")
    await pass_time(GATHERED)
    await work()
    assert len(fake.asked_lines) == 2
    await client.post(f"/v1/deferred/{within}/cancel")
    fake.end()
    await pass_time(LOOKED_AT)
    await work()
    assert (await state_of(client, kept))["status"] == "done"
    assert (await state_of(client, within))["status"] == "cancelled"
    assert {row.error_code for row in await rows()} == {"", "cancelled"}
    assert await held() == 0
    assert await spent() == sum(row.cost for row in await rows() if row.cost)


async def test_a_batch_that_nobody_waits_for_is_cancelled(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    (request_id,) = await ask_many(client, 1)
    await pass_time(GATHERED)
    await work()
    await client.post(f"/v1/deferred/{request_id}/cancel")
    await work()
    (batch,) = batch_fakes["openai"][1].batches.values()
    assert batch.cancelled


async def test_a_provider_that_takes_no_batch_answers_one_by_one(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    server, fake = batch_fakes["openai"]
    ids = await ask_many(client, 2)
    await pass_time(GATHERED)
    server.next(Reply({"error": {"message": "no", "code": "x"}}, 400))
    await work(2)
    assert not fake.batches
    assert {(await state_of(client, one))["status"] for one in ids} == {"done"}
    batch = await ProviderBatch.objects.aget()
    assert batch.state == "failed"
    assert "HTTP 400" in batch.error


async def test_a_limit_of_the_provider_is_waited_for(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    server, fake = batch_fakes["openai"]
    await ask_many(client, 1)
    await pass_time(GATHERED)
    server.next(Reply({}, 429, headers={"retry-after": "90"}))
    await work(2)
    assert not fake.batches
    await pass_time(91)
    await work()
    assert len(fake.batches) == 1


async def test_money_that_is_not_left_refuses_the_request_before_it_is_accepted(
    client: httpx.AsyncClient,
) -> None:
    await budget("0.0000001")
    refused = await ask(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert not await DeferredRequest.objects.aexists()
    assert await held() == 0


async def test_a_revoked_key_spends_nothing_more(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    red = await key_of("red")
    (request_id,) = await ask_many(client, 1, headers=red)
    await sync_to_async(key_revoke)(await ApiKey.objects.aget(name="red"))
    await sync_to_async(get_services().api_keys.refresh)()
    await pass_time(GATHERED)
    await work(2)
    row = await DeferredRequest.objects.aget(pk=request_id)
    assert (row.state, row.error_code) == ("failed", "api_key_revoked")
    assert not batch_fakes["openai"][1].batches


async def test_two_workers_send_each_request_once(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    _, fake = batch_fakes["openai"]
    await ask_many(client, 4)
    await pass_time(GATHERED)
    one = lane()
    others = build_services()
    two = others.batch_lane
    try:
        await asyncio.gather(one.work(), two.work(), one.work(), two.work())
        assert sorted(len(batch.lines) for batch in fake.batches.values()) == [4]
        fake.end()
        await pass_time(LOOKED_AT)  # the lease has ended, too
        await asyncio.gather(two.work(), one.work())
        assert len(await rows()) == 4
    finally:
        await others.stop()


async def test_while_it_is_proven_some_are_answered_at_once(
    client: httpx.AsyncClient, settings: Any
) -> None:
    services = get_services()
    services.levers._fixed["batch"] = "prove"
    await Lever.objects.acreate(name="batch", mode="prove", control_share=0.5)
    await sync_to_async(services.levers.refresh)()
    answers = [await ask(client, number=number) for number in range(16)]
    assert {answer.status_code for answer in answers} == {200, 202}
    for row in await rows():
        assert row.levers is not None
        trial = row.levers["batch"]
        assert (trial["arm"], trial["p"], trial["deadline"]) == ("control", 0.5, 43200)
        assert Decimal(trial["x"]) > 0


async def test_a_control_keeps_its_trial_where_a_rule_leaves_the_model_to_routing(
    client: httpx.AsyncClient,
) -> None:
    services = get_services()
    services.levers._fixed["batch"] = "prove"
    await Lever.objects.acreate(name="batch", mode="prove", control_share=1.0)
    await RoutingRule.objects.acreate(
        name="leave", action="route", requested_models=["*"], enabled=True
    )
    await sync_to_async(services.levers.refresh)()
    await sync_to_async(services.rules.refresh)()
    for number in range(6):
        await ask(client, number=number)
    arms = [row.levers and row.levers["batch"]["arm"] for row in await rows()]
    assert arms == ["control"] * 6


async def test_a_batch_holds_whole_texts_as_nobody_answers_questions_there(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    services = get_services()
    services.levers._fixed["compression"] = "on"
    await sync_to_async(services.levers.refresh)()
    log = "\n".join(f"2026-01-01T00:00:00 worker {n % 7} took a job" for n in range(2_000))
    words = f"What went wrong?\n```\n{log}\n```"
    accepted = await ask(client, messages=[{"role": "user", "content": words}])
    assert accepted.status_code == 202, accepted.text
    await pass_time(GATHERED)
    await work()
    _, fake = batch_fakes["openai"]
    (batch,) = fake.batches.values()
    (body,) = batch.lines.values()
    assert body["messages"][-1]["content"] == words
    assert "tools" not in body


async def test_a_batch_with_an_error_of_ours_keeps_no_other_one_from_being_read(
    client: httpx.AsyncClient, batch_fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bad,) = await ask_many(client, 1, MODELS["openai"])
    (good,) = await ask_many(client, 1, MODELS["claude"])
    await pass_time(GATHERED)
    await work()
    for name in ("openai", "claude"):
        batch_fakes[name][1].end()
    await pass_time(LOOKED_AT)
    follow = lane()._reader.follow

    async def fails_once(batch: ProviderBatch) -> None:
        if batch.provider == "openai":
            raise RuntimeError("ours")
        await follow(batch)

    with monkeypatch.context() as patched:
        patched.setattr(lane()._reader, "follow", fails_once)
        await work()
    assert (await state_of(client, good))["status"] == "done"
    assert (await state_of(client, bad))["status"] == "in_batch"
    await pass_time(LOOKED_AT)
    await work()
    assert (await state_of(client, bad))["status"] == "done"


async def test_a_webhook_is_called_signed_and_only_where_it_is_allowed(
    client: httpx.AsyncClient, batch_fakes: Fakes, settings: Any
) -> None:
    async with FakeProvider(lambda asked: Reply({})) as hook:
        webhooks = Webhooks([hook.url], "s3cret")
        deferral = get_services().deferral
        object.__setattr__(deferral, "check_webhook", webhooks.check)
        lane()._webhooks = webhooks
        refused = await ask(client, optimizer={"webhook": "https://169.254.169.254/latest"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "webhook")
        # What the client of webhooks cannot call would end every round of the lane.
        for odd in ("/\x01", "/\n a", "\\@elsewhere.invalid/", "@elsewhere.invalid/"):
            refused = await ask(client, optimizer={"webhook": hook.url + odd})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "webhook")
        (request_id,) = await ask_many(client, 1, optimizer={"webhook": f"{hook.url}/done"})
        hook.next(Reply({}, 500))
        await pass_time(TWELVE_HOURS + 1)
        await work()
        await pass_time(61)
        await work(2)
        assert len(hook.asked) == 2
        call = hook.asked[-1]
        assert (call.body["id"], call.body["status"]) == (request_id, "expired")
        stamp = int(call.headers["webhook-timestamp"])
        assert (
            call.headers["webhook-signature"]
            == (signed_headers("s3cret", request_id, call.raw, stamp)["webhook-signature"])
        )


@pytest.mark.parametrize("value", [True, "5", -1, 1e300, 10**400, [5]])
def test_an_option_that_no_clock_can_count_is_not_used(value: Any) -> None:
    names = [one.name for one in fields(LaneOptions)]
    assert lane_options(dict.fromkeys(names, value)) == LaneOptions()


async def test_data_that_must_stay_in_a_region_goes_into_no_batch(
    client: httpx.AsyncClient,
) -> None:
    services = get_services()
    services.registry.regions["openai"] = frozenset({"eu"})
    services.caller.changes += 1
    answer = await ask(client, optimizer={"residency": "eu"})
    assert answer.status_code == 200
    assert await DeferredRequest.objects.acount() == 0
    assert (await ask(client, optimizer={"residency": "us"})).status_code == 400


async def test_nothing_passes_the_guard_rails_by_in_a_batch(
    transactional_db: None, batch_fakes: Fakes, settings: Any, start: Start
) -> None:
    settings.LEVERS = "batch:on"
    settings.GUARDRAILS = ["personal_data"]
    settings.GUARDRAIL_PERSONAL_DATA = "tests.optimizer.gateway.test_guardrails:emails"
    answer = await ask(await begin(start))
    assert answer.status_code == 200
    assert await DeferredRequest.objects.acount() == 0
