"""Requests that go through a cascade: what is served, what it costs, and what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.budgets.begun_calls import proof_of
from analytics.models import Budget, BudgetHold, CachedResponse, Lever, RequestRecord
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.conftest import Start
from tests.factories import BudgetFactory
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_message, gemini_response
from tests.patience import eventually

PROMPT = (
    "Prove that the halting problem is undecidable, and design an algorithm that approximates it; "
    "write Python with tests."
)
CHEAP, STRONG = "claude/claude-haiku-5-5", "gemini/gemini-4-argon"
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
ASKS_JSON = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }
}
GOOD, BAD, STRONGER = '{"answer": "cheap"}', '{"reply": "cheap"}', '{"answer": "strong"}'
Fakes = dict[str, FakeProvider]
Begin = Callable[..., Awaitable[httpx.AsyncClient]]


def cheap_says(text: str, **changes: Any) -> Reply:
    return Reply(anthropic_message("claude-haiku-5-5", text, **changes))


def strong_says(text: str) -> Reply:
    return Reply(gemini_response("gemini-4-argon", text))


@pytest.fixture
def begin(transactional_db: None, fakes: Fakes, start: Start, settings: Any) -> Begin:
    """The service with a cascade of two models, and a target that calls for the best one."""

    async def begin(mode: str = "on", share: float = 0.5, **options: Any) -> httpx.AsyncClient:
        settings.QUALITY_TARGET = 0.78
        wanted = {"cheap": [CHEAP], "strong": [STRONG], "loss": 0.2, **options}
        await Lever.objects.acreate(name="cascade", mode=mode, control_share=share, options=wanted)
        fakes["claude"].always(cheap_says(GOOD))
        fakes["gemini"].always(strong_says(STRONGER))
        return await start()

    return begin


async def ask(client: httpx.AsyncClient, prompt: str = PROMPT, **body: Any) -> httpx.Response:
    messages = [{"role": "user", "content": prompt}]
    return await client.post(
        "/v1/chat/completions",
        json={"messages": messages, "model": "auto", "max_tokens": 500, **ASKS_JSON, **body},
    )


def text_of(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


async def only_row() -> RequestRecord:
    return await RequestRecord.objects.select_related("decision").aget()


def price(model: str, usage: Usage) -> Decimal:
    provider, _, name = model.partition("/")
    cost = get_services().prices.cost(provider, name, usage)
    assert cost
    return cost


CHEAP_USAGE = Usage(20, 9, cache_read_tokens=4, cache_write_tokens=3)
STRONG_USAGE = Usage(20, 9, cache_read_tokens=4, reasoning_tokens=2)


class TestServing:
    async def test_an_answer_that_passes_is_served_alone(self, begin: Begin, fakes: Fakes) -> None:
        client = await begin()
        assert text_of(await ask(client)) == GOOD
        assert (len(fakes["claude"].asked), len(fakes["gemini"].asked)) == (1, 0)
        row = await only_row()
        assert (str(row.ref), row.attempts, row.failed_cost) == (CHEAP, [], 0)
        assert row.cost == price(CHEAP, CHEAP_USAGE)
        trial = row.levers["cascade"]
        assert (trial["arm"], trial["cheap"], trial["strong"]) == ("treated", CHEAP, STRONG)
        assert trial["checks"] == {"ending": "passed", "schema": "passed"}
        assert (trial["escalated"], trial["served"]) == (False, "cheap")
        assert Decimal(trial["x"]) > Decimal(trial["cost"]) > 0
        decision = row.decision
        assert str(decision.ref) == CHEAP
        assert not decision.fallback_used
        assert decision.metadata["cascade"]["escalated"] is False
        assert "passed its checks" in decision.reasoning
        assert row.provider_ms <= row.latency_ms

    async def test_one_that_fails_is_paid_for_and_the_stronger_model_answers(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        client = await begin()
        fakes["claude"].always(cheap_says(BAD))
        response = await ask(client)
        assert text_of(response) == STRONGER
        assert response.headers["x-optimizer-model"] == "gemini-4-argon"
        row = await only_row()
        assert str(row.ref) == str(row.decision.ref) == STRONG
        assert row.failed_cost == price(CHEAP, CHEAP_USAGE)
        assert row.cost == price(CHEAP, CHEAP_USAGE) + price(STRONG, STRONG_USAGE)
        (attempt,) = row.attempts
        assert (attempt["model"], attempt["error"]) == ("claude-haiku-5-5", "check_failed")
        assert "“schema” failed" in attempt["message"]
        assert Decimal(attempt["cost"]) == row.failed_cost
        trial = row.levers["cascade"]
        assert (trial["escalated"], trial["served"]) == (True, "strong")
        assert trial["checks"] == {"ending": "passed", "schema": "failed"}
        assert not row.decision.fallback_used  # nothing failed but the check
        assert "reply" not in str(row.decision.metadata["cascade"])

    async def test_only_what_was_served_is_cached(self, begin: Begin, fakes: Fakes) -> None:
        client = await begin()
        fakes["claude"].always(cheap_says(BAD))
        assert text_of(await ask(client, temperature=0)) == STRONGER
        entry = await CachedResponse.objects.aget()
        assert (entry.response, entry.model) == (STRONGER, "gemini-4-argon")
        assert entry.original_cost == price(STRONG, STRONG_USAGE)
        assert text_of(await ask(client, temperature=0)) == STRONGER
        assert len(fakes["claude"].asked) == 1

    async def test_where_the_cheap_provider_fails_the_strong_model_answers(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        client = await begin()
        fakes["claude"].always(Reply({"type": "error", "error": {}}, 500))
        assert text_of(await ask(client)) == STRONGER
        assert len(fakes["claude"].asked) == 1  # a call that another one follows is not repeated
        row = await only_row()
        assert (row.attempts[0]["error"], row.failed_cost) == ("provider_unavailable", 0)
        trial = row.levers["cascade"]
        assert trial["first_failed"] is True
        assert "escalated" not in trial  # nothing was checked, so nothing is learned of checks

    @pytest.mark.parametrize("doubtful", [True, False], ids=["doubtful", "invalid"])
    async def test_where_all_others_fail_a_doubtful_answer_is_served_and_an_invalid_one_is_not(
        self, begin: Begin, fakes: Fakes, doubtful: bool
    ) -> None:
        client = await begin()
        for name in ("gemini", "openrouter"):
            fakes[name].always(Reply({"error": {"message": "down"}}, 503))
        unclear = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"pattern": "x"}}}
        wanted = {"response_format": unclear} if doubtful else {}
        fakes["claude"].next(cheap_says(BAD))
        fakes["claude"].always(Reply({"type": "error", "error": {}}, 529))
        response = await ask(client, **wanted)
        row = await only_row()
        errors = [attempt["error"] for attempt in row.attempts]
        if doubtful:
            assert text_of(response) == BAD
            assert "check_failed" not in errors
            assert row.decision.fallback_used
            assert "given all the same" in row.decision.reasoning
            trial = row.levers["cascade"]
            assert (trial["escalated"], trial["served"]) == (True, "cheap")
        else:
            assert response.status_code == 503
            assert (row.status, errors[0]) == ("error", "check_failed")
            assert row.levers["cascade"]["checks"]["schema"] == "failed"
        assert row.cost == price(CHEAP, CHEAP_USAGE)


class TestEligible:
    @pytest.mark.parametrize(
        ("body", "treated"),
        [
            ({}, True),
            ({"model": "claude-opus-5-5"}, False),
            ({"response_format": {"type": "text"}}, False),
            ({"stream": True}, False),
            ({"n": 2}, False),
        ],
        ids=["asks for JSON", "names its model", "nothing to check", "stream", "two answers"],
    )
    async def test_only_requests_that_leave_the_choice_and_can_be_checked(
        self, begin: Begin, fakes: Fakes, body: dict[str, Any], treated: bool
    ) -> None:
        client = await begin()
        await ask(client, **body)
        row = await only_row()
        assert bool(row.levers) is treated

    @pytest.mark.parametrize("enough", [False, True])
    async def test_a_cap_holds_for_both_calls(
        self, begin: Begin, fakes: Fakes, enough: bool
    ) -> None:
        client = await begin()
        tokens = get_services().routing.previews.decide(PROMPT).metadata["token_count"]
        strong, cheap = price(STRONG, Usage(tokens, 500)), price(CHEAP, Usage(tokens, 500))
        cap = strong + cheap * (Decimal("1.1") if enough else Decimal("0.5"))
        assert (await ask(client, optimizer={"max_cost": float(cap)})).status_code == 200
        assert bool((await only_row()).levers) is enough

    async def test_the_control_is_the_single_choice_and_decided_before_the_arm(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        client = await begin("prove", 0.5)
        for n in range(16):
            await ask(client, f"{PROMPT} {n}")
        rows = [row async for row in RequestRecord.objects.select_related("decision")]
        trials = [(row.levers["cascade"], str(row.ref)) for row in rows]
        treated = [(trial, ref) for trial, ref in trials if trial["arm"] == "treated"]
        control = [(trial, ref) for trial, ref in trials if trial["arm"] == "control"]
        assert {ref for _, ref in treated} == {CHEAP}
        assert control
        assert CHEAP not in {ref for _, ref in control}
        assert len({trial["x"] for trial, _ in trials}) == 1
        assert all("served" not in trial for trial, _ in control)

    async def test_an_option_that_cannot_be_read_switches_it_off(
        self, begin: Begin, fakes: Fakes, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = await begin(judge="nobody")
        await ask(client)
        assert (await only_row()).levers is None
        assert "judge: must name a model as provider/model" in caplog.text


class TestChecksThatAsk:
    async def test_a_judges_call_is_charged_to_the_request(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        client = await begin(judge="openrouter/z-ai/glm-5.3-flash", schema=False)
        fakes["openrouter"].always(None)
        response = await ask(client)
        row = await only_row()
        # The fake's usual answer is no verdict, so the stronger model answers.
        assert text_of(response) == STRONGER
        assert [one["error"] for one in row.attempts] == ["check_failed", "check_call"]
        judged = row.attempts[1]
        assert judged["model"] == "z-ai/glm-5.3-flash"
        assert Decimal(judged["cost"]) > 0
        costs = [Decimal(one["cost"]) for one in row.attempts]
        assert row.cost == sum(costs) + price(STRONG, STRONG_USAGE)
        assert row.levers["cascade"]["checks"] == {"ending": "passed", "judge": "undecided"}

    async def test_two_answers_are_asked_for_at_once_and_both_are_paid(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        client = await begin(agreement=0.8, schema=False)
        fakes["claude"].gate = asyncio.Event()
        asking = asyncio.create_task(ask(client, response_format={"type": "text"}))
        await eventually(lambda: len(fakes["claude"].asked) == 2)
        fakes["claude"].gate.set()
        assert text_of(await asking) == GOOD
        row = await only_row()
        assert [one["error"] for one in row.attempts] == ["check_call"]
        assert row.cost == 2 * price(CHEAP, CHEAP_USAGE)
        assert not fakes["gemini"].asked


class TestEndsInBetween:
    async def leave_while_asked(self, client: httpx.AsyncClient, fake: FakeProvider) -> None:
        """A request of which nobody may go on when its client has left."""
        get_services().routing._flights._most_abandoned = 0
        fake.gate = asyncio.Event()
        asking = asyncio.create_task(ask(client))
        await eventually(lambda: bool(fake.asked))
        asking.cancel()
        await asyncio.wait({asking})
        await eventually(lambda: RequestRecord.objects.aexists())
        fake.gate.set()

    async def test_a_client_that_leaves_during_the_second_call_pays_for_both(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        client = await begin()
        fakes["claude"].always(cheap_says(BAD))
        await self.leave_while_asked(client, fakes["gemini"])
        row = await only_row()
        assert (row.status, row.error_code) == ("error", "client_disconnected")
        assert [one["error"] for one in row.attempts] == ["check_failed", "client_disconnected"]
        paid = [Decimal(one["cost"]) for one in row.attempts]
        assert paid[0] == price(CHEAP, CHEAP_USAGE)
        assert paid[1] > 0  # the provider may write the answer to its end
        assert row.cost == sum(paid)
        assert row.levers["cascade"]["escalated"] is True

    async def test_an_answer_whose_check_was_not_ended_is_paid_for(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        client = await begin(judge="openrouter/z-ai/glm-5.3-flash", schema=False)
        await self.leave_while_asked(client, fakes["openrouter"])
        row = await only_row()
        assert [one["error"] for one in row.attempts] == ["not_served", "client_disconnected"]
        assert Decimal(row.attempts[0]["cost"]) == price(CHEAP, CHEAP_USAGE)


class TestBudgets:
    async def held(self) -> Decimal:
        rows = [hold.amount async for hold in BudgetHold.objects.all()]
        return sum(rows, Decimal(0))

    async def test_both_calls_are_held_before_the_first_and_what_is_left_is_given_back(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        budget = await sync_to_async(BudgetFactory)(limit=Decimal("1"))
        client = await begin()
        fakes["claude"].always(cheap_says(BAD))
        fakes["claude"].gate = asyncio.Event()
        asking = asyncio.create_task(ask(client))
        await eventually(lambda: bool(fakes["claude"].asked))
        assert await self.held() >= price(STRONG, Usage(20, 500)) + price(CHEAP, Usage(20, 500))
        fakes["claude"].gate.set()
        assert text_of(await asking) == STRONGER
        assert await self.held() == 0
        row = await only_row()
        assert row.cost == price(CHEAP, CHEAP_USAGE) + price(STRONG, STRONG_USAGE)
        assert budget.limit > row.cost

    async def test_a_budget_for_one_call_alone_gets_one_call(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        best = "claude/claude-opus-5-5"
        client = await begin("off", strong=[best])
        services = get_services()
        await sync_to_async(BudgetFactory)(limit=Decimal("1"))
        await sync_to_async(services.budgets.refresh)()
        fakes["claude"].gate = asyncio.Event()
        asking = asyncio.create_task(ask(client))
        await eventually(lambda: bool(fakes["claude"].asked))
        one_call = await self.held()
        fakes["claude"].gate.set()
        await asking
        row = await only_row()
        assert str(row.ref) == best
        for spare, left_out in ((0, "budget"), (1, None)):
            await RequestRecord.objects.all().adelete()
            await Lever.objects.aupdate(mode="on")
            spent = row.cost + price(CHEAP, CHEAP_USAGE) * spare
            await Budget.objects.aupdate(
                limit=spent + one_call + Decimal("0.0001") * (1 + 90 * spare)
            )
            await sync_to_async(services.levers.refresh)()
            await sync_to_async(services.budgets.refresh)()
            other = PROMPT.replace("Python", "Kotlin" if spare else "Pascal")
            assert (await ask(client, other)).status_code == 200
            again = await only_row()
            assert again.levers["cascade"].get("left_out") == left_out
            assert str(again.ref) == (best if left_out else CHEAP)
            row = again

    async def test_if_the_worker_dies_what_was_paid_is_known_and_what_was_only_held_is_not_charged(
        self, begin: Begin, fakes: Fakes
    ) -> None:
        await sync_to_async(BudgetFactory)(limit=Decimal("1"))
        client = await begin()
        budgets = get_services().budgets
        fakes["claude"].always(cheap_says(BAD))
        fakes["claude"].gate, fakes["gemini"].gate = asyncio.Event(), asyncio.Event()
        asking = asyncio.create_task(ask(client))
        await eventually(lambda: bool(fakes["claude"].asked))

        async def proved() -> Decimal:
            hold = await BudgetHold.objects.afirst()
            assert hold is not None
            progress = proof_of(budgets.begun.folder, budgets.worker).progress(hold.request_id)
            assert progress is not None
            return progress.cost

        first = await proved()
        assert 0 < first < price(STRONG, Usage(20, 500))  # the money held for later is not spent
        fakes["claude"].gate.set()
        await eventually(lambda: bool(fakes["gemini"].asked))
        assert await proved() >= price(CHEAP, CHEAP_USAGE) + price(STRONG, Usage(20, 0))
        fakes["gemini"].gate.set()
        assert text_of(await asking) == STRONGER
