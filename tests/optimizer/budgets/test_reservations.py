"""Budgets on every endpoint and every path: held before a call, exact after it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.db.models import Q, Sum

import analytics.ledger.ledger as ledger_module
from analytics.access.keys import key_make
from analytics.access.versioned_rows import save_versioned
from analytics.budgets.opening import budget_open
from analytics.models import (
    ApiKey,
    Budget,
    BudgetHold,
    BudgetUsage,
    Comparison,
    Project,
    RequestRecord,
    Team,
    Worker,
)
from optimizer.wiring.build import get_services
from providers.chat import Chat
from providers.token_bounds import most_input_tokens
from tests.conftest import Start
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import (
    KEY,
    anthropic_message,
    anthropic_wire,
    embeddings_wire,
    gemini_response,
    openai_error,
    openai_wire,
)
from tests.patience import PATIENCE, eventually

SMALL = ("claude", "claude-haiku-5-5")
QUESTION = "What is the capital of France?"
PROMPT = {"prompt": QUESTION, "max_tokens": 100}
CHAT = {"model": "auto", "max_tokens": 100, "messages": [{"role": "user", "content": QUESTION}]}
EVERY_WAY = [
    ("/complete", PROMPT),
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "stream": True}),
    ("/v1/responses", {"model": "auto", "max_output_tokens": 100, "input": QUESTION}),
    ("/v1/messages", CHAT),
    ("/v1/messages", {**CHAT, "stream": True}),
]


async def limit(amount: Decimal | str, **fields: Any) -> Budget:
    """A budget that the service has heard of."""
    name = fields.pop("name", f"budget {await Budget.objects.acount()}")
    budget = Budget(name=name, period="month", limit=round(Decimal(amount), 10), **fields)
    await sync_to_async(budget_open)(budget)
    await hear()
    return budget


async def hear() -> None:
    services = get_services()
    await sync_to_async(services.budgets.refresh)()
    await sync_to_async(services.api_keys.refresh)()


def worst(model: tuple[str, str] = SMALL, max_tokens: int = 100) -> Decimal:
    """What :data:`QUESTION` may cost."""
    bound = most_input_tokens(Chat.of_prompt(QUESTION))
    found = get_services().prices.most(*model, bound, max_tokens)
    assert found is not None
    return found


async def booked() -> Decimal:
    """What all budgets together count; nothing may still be held."""
    assert not await BudgetHold.objects.aexists()
    found = await BudgetUsage.objects.aaggregate(all=Sum("spent"))
    return found["all"] or Decimal(0)


async def recorded() -> Decimal:
    found = await RequestRecord.objects.aaggregate(all=Sum("cost"))
    return found["all"] or Decimal(0)


async def key(name: str, **fields: Any) -> dict[str, str]:
    made = await sync_to_async(key_make)(ApiKey(name=name, **fields))
    await hear()
    return {"authorization": f"Bearer {made.secret}"}


@pytest.fixture
async def uncached(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> httpx.AsyncClient:
    settings.RESPONSE_CACHE = False
    settings.PROVIDER_RETRIES = 0
    return await start()


# --- at the limit ----------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), EVERY_WAY)
async def test_what_does_not_fit_is_refused_before_anybody_is_called(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], path: str, body: Any
) -> None:
    await limit(worst() / 2)
    answer = await client.post(path, json=body)
    assert answer.status_code == 429
    assert "budget" in answer.text
    assert "budget_exceeded" in answer.text or path == "/v1/messages"
    assert not any(fake.asked for fake in fakes.values())
    assert not await RequestRecord.objects.admitted().aexists()
    assert await BudgetUsage.objects.aget(refused=1)


@pytest.mark.parametrize(("path", "body"), EVERY_WAY)
async def test_what_fits_is_held_and_then_counted_as_it_cost(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], path: str, body: Any
) -> None:
    await limit(worst() * 2)
    fakes["claude"].gate = asyncio.Event()
    asking = asyncio.create_task(client.post(path, json=body))
    while not fakes["claude"].asked:
        await asyncio.sleep(0.01)
    held = await BudgetHold.objects.aget()
    assert worst() <= held.amount <= worst() * 2
    assert held.model == "claude/claude-haiku-5-5"
    fakes["claude"].gate.set()
    assert (await asking).status_code == 200
    assert await booked() == await recorded() > 0


async def test_our_own_api_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    await limit(worst() * Decimal("1.5"))
    budget = await Budget.objects.aget()
    await sync_to_async(_use_up)(budget)
    refused = await client.post("/complete", json=PROMPT)
    body = refused.json()
    assert body["code"] == "budget_exceeded"
    assert body["status_code"] == 429
    resets_at = datetime.fromisoformat(body["resets_at"])
    assert (resets_at.day, resets_at.hour, resets_at.minute) == (1, 0, 0)
    wait = (resets_at - datetime.now(UTC)).total_seconds()
    assert abs(int(refused.headers["retry-after"]) - wait) < 5
    # The clients of OpenAI and Anthropic would ask again at once.
    assert refused.headers["x-should-retry"] == "false"


def _use_up(budget: Budget) -> None:
    account = budget.accounts.create(subject="")
    account.usage.create(
        start=datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        spent=budget.limit,
    )


async def test_a_request_that_no_period_has_room_for_is_told_so(client: httpx.AsyncClient) -> None:
    await limit(worst() / 2)
    body = (await client.post("/complete", json=PROMPT)).json()
    assert body["resets_at"] is None
    assert "max_tokens" in body["detail"]


async def test_a_cached_answer_costs_nothing_and_is_given_at_the_limit(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.post("/complete", json=PROMPT)).status_code == 200
    await limit("0")
    again = await client.post("/complete", json=PROMPT)
    assert (again.status_code, again.json()["cache_hit"]) == (200, True)
    assert (await client.post("/complete", json={"prompt": "Why?"})).status_code == 429


async def test_without_max_tokens_the_completion_is_bounded(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    open_ended = {"model": "z-ai/glm-5.3-flash", "messages": CHAT["messages"]}
    assert (await client.post("/v1/chat/completions", json=open_ended)).is_success
    assert "max_tokens" not in fakes["openrouter"].asked[-1].body
    await limit("5")
    other = {**open_ended, "messages": [{"role": "user", "content": "And of Spain?"}]}
    assert (await client.post("/v1/chat/completions", json=other)).is_success
    assert fakes["openrouter"].asked[-1].body["max_tokens"] == 4096


# --- whom it is about ------------------------------------------------------------------


async def test_each_has_a_budget_of_their_own(uncached: httpx.AsyncClient) -> None:
    await limit(worst() * Decimal("1.1"), scope="user")
    for user, statuses in (("ann", [200] * 2), ("bob", [200])):
        for status in statuses:
            answer = await uncached.post("/v1/chat/completions", json={**CHAT, "user": user})
            assert answer.status_code == status
    found = BudgetUsage.objects.values_list("account__subject", "requests")
    assert {pair async for pair in found} == {("ann", 2), ("bob", 1)}


async def test_teams_projects_and_keys_are_held_to_theirs(uncached: httpx.AsyncClient) -> None:
    team = await Team.objects.acreate(name="red")
    project = await Project.objects.acreate(name="search", team=team)
    in_team = await key("ann", team=team)
    in_project = await key("bob", project=project, team=team)
    alone = await key("cas")
    await limit("0", scope="project", subject="search")
    statuses = [
        (await uncached.post("/complete", json=PROMPT, headers=headers)).status_code
        for headers in (in_team, in_project, alone)
    ]
    assert statuses == [200, 429, 200]
    await limit("0", scope="team", subject="red")
    refused = await uncached.post("/complete", json=PROMPT, headers=in_team)
    assert "this team's budget" in refused.json()["detail"]
    prefix = (await ApiKey.objects.aget(name="cas")).prefix
    await limit("0", scope="key", subject=prefix)
    assert (await uncached.post("/complete", json=PROMPT, headers=alone)).status_code == 429


async def test_a_provider_without_budget_is_passed_over(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    await limit("0", scope="provider", subject="claude")
    answer = await uncached.post("/complete", json=PROMPT)
    assert answer.status_code == 200
    assert answer.json()["provider"] != "claude"
    assert not fakes["claude"].asked
    named = await uncached.post("/v1/chat/completions", json={**CHAT, "model": "claude-haiku-5-5"})
    assert named.status_code == 429
    assert "the budgets of models" in named.text


async def test_a_budget_of_one_provider_holds_up_no_call_of_another(
    uncached: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit("1", scope="provider", subject="gemini")

    async def never(claim: Any) -> Any:
        raise AssertionError("nothing needs to be held")

    monkeypatch.setattr(get_services().ledger, "hold", never)
    assert (await uncached.post("/complete", json=PROMPT)).status_code == 200


async def test_cheaper_models_serve_where_the_budget_wants_them_to(
    uncached: httpx.AsyncClient,
) -> None:
    best = {**CHAT, "model": "auto:best"}
    assert (await uncached.post("/v1/chat/completions", json=best)).status_code == 200
    first = await RequestRecord.objects.aget()
    dearest = (first.provider, first.model)
    short = await recorded() + worst(dearest) - Decimal("0.0000000001")
    await limit(short, at_limit="downgrade")
    assert (await uncached.post("/v1/chat/completions", json=best)).status_code == 200
    second = await RequestRecord.objects.select_related("decision").aget(~Q(pk=first.pk))
    assert worst((second.provider, second.model)) < worst(dearest)
    (reason,) = [
        candidate["reason"]
        for candidate in second.decision.metadata["candidates"]
        if (candidate["provider"], candidate["model"]) == dearest
    ]
    assert reason == "what it may cost does not fit into a budget"
    assert await recorded() <= short
    await limit("0")
    assert (await uncached.post("/complete", json=PROMPT)).status_code == 429


async def test_a_model_without_a_price_is_not_used_under_a_budget(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None, start: Start, tmp_path: Any,
    settings: Any,
) -> None:  # fmt: skip
    catalogue = tmp_path / "more.toml"
    catalogue.write_text(
        '[[models]]\nprovider = "vllm"\nid = "ours"\ntier = "simple"\ncontext_window = 32000\n'
    )
    settings.CATALOGUE_FILE = str(catalogue)
    async with FakeProvider(openai_wire()) as fake:
        monkeypatch.setenv("VLLM_BASE_URL", fake.url)
        monkeypatch.setenv("VLLM_API_KEY", KEY)
        client = await start()
        assert (await client.post("/complete", json=PROMPT)).status_code == 200
        await limit("100")
        refused = await client.post("/complete", json={**PROMPT, "prompt": "And Spain?"})
    assert refused.status_code == 400
    assert "its price is unknown" in refused.json()["detail"] + str(refused.json()["errors"])


# --- many at once, and things going wrong ----------------------------------------------


async def test_no_number_of_requests_at_once_passes_the_limit(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fit = 7
    await limit(worst() * fit + worst() / 2)
    fakes["claude"].gate = asyncio.Event()
    asking = [
        asyncio.create_task(
            uncached.post("/complete", json={**PROMPT, "prompt": f"{QUESTION[:-2]}{n:02}"})
        )
        for n in range(40)
    ]
    done, _ = await asyncio.wait(asking, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 40 - fit:
        await asyncio.sleep(0.05)
        done = {task for task in asking if task.done()}
    assert {task.result().status_code for task in done} == {429}
    await eventually(lambda: len(fakes["claude"].asked) >= fit)
    assert len(fakes["claude"].asked) == fit
    fakes["claude"].gate.set()
    statuses = [answer.status_code for answer in await asyncio.gather(*asking)]
    assert statuses.count(200) == fit
    assert await booked() == await recorded()
    # What they did not use is there for others.
    assert (await uncached.post("/complete", json=PROMPT)).status_code == 200


async def test_a_fallback_is_held_at_its_own_price_and_a_failed_call_given_back(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    await limit("1", scope="provider")
    await limit("1")
    fakes["claude"].always(Reply({"type": "error"}, 500))
    assert (await uncached.post("/complete", json=PROMPT)).status_code == 200
    record = await RequestRecord.objects.aget()
    assert record.provider != "claude"
    assert await booked() == 2 * record.cost
    used = BudgetUsage.objects.values_list("account__subject", flat=True)
    assert {subject async for subject in used} == {"", record.provider}


async def test_a_fallback_that_does_not_fit_is_not_called(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    await limit(worst())
    for fake in fakes.values():
        fake.always(openai_error(500))
    answer = await uncached.post("/complete", json=PROMPT)
    assert answer.status_code == 503
    failures = {(f["provider"], f["model"]): f["error"] for f in answer.json()["failures"]}
    dearer = {model for model in failures if worst(model) > worst()}
    assert dearer
    for model, error in failures.items():
        assert (error == "budget_exceeded") == (model in dearer)
    called = {asked.body.get("model") for asked in fakes["claude"].asked}
    assert not called & {model for _, model in dearer}
    assert await booked() == 0


async def test_a_failed_call_that_was_charged_is_counted(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    await limit("1")
    # An empty answer is no answer, but its tokens are charged.
    fakes["claude"].always(Reply(anthropic_message(SMALL[1], content=[])))
    assert (await uncached.post("/complete", json=PROMPT)).status_code == 200
    record = await RequestRecord.objects.aget()
    assert record.failed_cost > 0
    assert await booked() == record.cost > record.failed_cost


@pytest.mark.parametrize("after", [0, 3])
async def test_a_stream_whose_client_leaves_gives_back_what_it_did_not_use(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider], after: int
) -> None:
    await limit("1")

    def slow(asked: Asked) -> Reply:
        reply = anthropic_wire(asked)
        return Reply(chunks=reply.chunks, pause=0.05, delay=PATIENCE if after == 0 else 0)

    fakes["claude"].wire = slow
    heard: list[str] = []
    leaving = asyncio.create_task(_listen(uncached, heard))
    await eventually(lambda: fakes["claude"].asked and len(heard) >= after)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await get_services().routing.drain()
    record = await RequestRecord.objects.aget()
    assert await booked() == record.cost


async def _listen(client: httpx.AsyncClient, heard: list[str]) -> None:
    async with client.stream("POST", "/v1/messages", json={**CHAT, "stream": True}) as answer:
        async for line in answer.aiter_lines():
            heard.append(line)
        await asyncio.sleep(PATIENCE)


async def test_a_broken_stream_is_counted_as_far_as_it_came(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    await limit("1")

    def cut(asked: Asked) -> Reply:
        return Reply(chunks=list(anthropic_wire(asked).chunks or ())[:-3], drop=True)

    fakes["claude"].wire = cut
    answer = await uncached.post("/v1/messages", json={**CHAT, "stream": True})
    assert "error" in answer.text
    record = await RequestRecord.objects.aget()
    assert record.status == "partial"
    assert await booked() == record.cost > 0


async def test_another_s_empty_budget_says_nothing_of_one_s_own(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = await Team.objects.acreate(name="red")
    poor, rich = await key("ann", team=team, user="ann"), await key("bob", team=team, user="bob")
    await limit("0", scope="user", subject="ann")
    ledger, hold = get_services().ledger, get_services().ledger.hold

    async def slowly(claim: Any) -> Any:
        await asyncio.sleep(0.2)
        return await hold(claim)

    monkeypatch.setattr(ledger, "hold", slowly)
    for path, body in (("/complete", PROMPT), ("/v1/chat/completions", {**CHAT, "stream": True})):
        leads = asyncio.create_task(client.post(path, json=body, headers=poor))
        await asyncio.sleep(0.1)
        follows = await client.post(path, json=body, headers=rich)
        assert (follows.status_code, (await leads).status_code) == (200, 429)


async def test_with_the_database_away_nothing_is_called_under_a_budget(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit("1")

    def away(claims: object) -> None:
        raise OperationalError

    monkeypatch.setattr(ledger_module, "hold", away)
    for path, body in EVERY_WAY:
        answer = await client.post(path, json=body)
        assert answer.status_code == 503
        assert "budgets" in answer.text
    assert not any(fake.asked for fake in fakes.values())


async def test_an_answer_that_waits_in_the_journal_is_counted_when_it_is_replayed(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit("1")
    with monkeypatch.context() as broken:

        def locked(entries: object) -> None:
            raise OperationalError("locked")

        broken.setattr(ledger_module, "write_entries", locked)
        assert (await client.post("/complete", json=PROMPT)).status_code == 200
    assert await BudgetHold.objects.acount() == 1
    ledger = get_services().ledger
    ledger.database.reset()
    await ledger.catch_up()
    assert await booked() == await recorded() > 0


async def test_embeddings_are_held_too(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None, start: Start
) -> None:
    async with FakeProvider(embeddings_wire) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        client = await start()
        budget = await limit("0.01")
        body = {"model": "text-embedding-3-small", "input": ["one", "two"]}
        assert (await client.post("/v1/embeddings", json=body)).status_code == 200
        assert await booked() == await recorded() > 0
        budget.limit = Decimal("0.0000001")
        await sync_to_async(save_versioned)(budget)
        await hear()
        assert (await client.post("/v1/embeddings", json=body)).status_code == 429


async def test_the_judge_spends_from_the_budgets_of_models_and_of_all(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> None:
    settings.JUDGE_MODEL, settings.JUDGE_RATE = "gemini-3.8-flash", 1.0
    fakes["gemini"].wire = lambda _: Reply(gemini_response("m", "Verdict: tie"))
    fakes["claude"].wire = lambda asked: Reply(
        anthropic_message(asked.body["model"], asked.body["model"])
    )
    client = await start()
    await limit("5")
    named = {**CHAT, "model": "claude-haiku-5-5", "optimizer": {"baseline": "claude-opus-5-5"}}
    assert (await client.post("/v1/chat/completions", json=named)).status_code == 200
    await get_services().routing.drain()
    compared = await Comparison.objects.aget()
    judging = compared.judge_cost + compared.answer_cost
    assert judging > 0
    assert await booked() == await recorded() + judging


async def test_a_new_budget_is_heard_of_without_being_told(client: httpx.AsyncClient) -> None:
    await sync_to_async(budget_open)(Budget(name="x", limit=Decimal(0)))
    async with asyncio.timeout(PATIENCE):
        while not get_services().budgets.any:
            await asyncio.sleep(0.05)
        assert (await client.post("/complete", json=PROMPT)).status_code == 429
        # And says that it is alive, so that what it holds is not taken for lost.
        while not await Worker.objects.aexists():
            await asyncio.sleep(0.05)


# --- what the provider adds -------------------------------------------------------------

BY_URL = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
ADDED = [
    {"messages": [{"role": "user", "content": [BY_URL, {"type": "text", "text": "Sum up."}]}]},
    {"messages": CHAT["messages"], "tools": [SEARCH]},
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("added", ADDED)
async def test_where_the_input_s_size_is_unknown_the_context_window_is_held(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider], added: Any, streamed: bool
) -> None:
    body = {"model": SMALL[1], "max_tokens": 100, **added, "stream": streamed}
    services = get_services()
    window = services.catalogue.find(*SMALL).context_window
    most = services.prices.most(*SMALL, window, 100)
    assert most is not None
    fees = Decimal("0.05") if "tools" in added else Decimal(0)
    budget = await limit(most + fees - Decimal("0.000001"))
    assert (await uncached.post("/v1/messages", json=body)).status_code == 429
    assert not fakes["claude"].asked
    budget.limit = most + fees
    await sync_to_async(save_versioned)(budget)
    await hear()
    assert (await uncached.post("/v1/messages", json=body)).status_code == 200
    assert not await BudgetHold.objects.aexists()


async def test_a_refusal_says_that_the_input_s_size_is_not_known(client: httpx.AsyncClient) -> None:
    await limit("0.001")
    body = {"model": SMALL[1], "max_tokens": 10}
    for added, field in zip(ADDED, ("messages (document)", "tools (web_search"), strict=True):
        refused = await client.post("/v1/messages", json={**body, **added})
        assert refused.status_code == 429
        assert f"the size of {field}" in refused.text
        assert "the whole context window counts" in refused.text


async def test_an_operator_may_refuse_input_of_unknown_size(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> None:
    settings.BUDGET_UNKNOWN_INPUT = "refuse"
    client = await start()
    body = {"model": SMALL[1], "max_tokens": 100}
    for number, added in enumerate(ADDED):
        assert (await client.post("/v1/messages", json={**body, **added})).status_code == 200, (
            number
        )
    await limit("500")
    for added, field in zip(ADDED, ("messages (document)", "tools (web_search"), strict=True):
        for streamed in (False, True):
            sent = {**body, **added, "stream": streamed, "max_tokens": 101}
            refused = await client.post("/v1/messages", json=sent)
            assert refused.status_code == 400
            assert field in refused.text
            assert "BUDGET_UNKNOWN_INPUT" in refused.text
    assert len(fakes["claude"].asked) == len(ADDED)
    assert (await client.post("/v1/messages", json=CHAT)).status_code == 200
    assert not await BudgetHold.objects.aexists()


async def in_session(client: httpx.AsyncClient, session: str) -> int:
    headers = {"x-session-id": session, "cache-control": "no-store"}
    return (await client.post("/v1/chat/completions", json=CHAT, headers=headers)).status_code


async def test_each_session_has_a_limit_of_its_own(client: httpx.AsyncClient) -> None:
    budget = await limit(worst() * Decimal("1.5"), scope="session")
    served = 0
    while await in_session(client, "one") == 200:
        served += 1
        assert served < 1_000
    assert served >= 1
    assert await in_session(client, "one") == 429
    assert await in_session(client, "two") == 200
    # Requests without a session are under no session's budget.
    assert (await client.post("/complete", json=PROMPT)).status_code == 200
    spent = {
        usage.account.subject: usage.spent
        async for usage in BudgetUsage.objects.filter(account__budget=budget).select_related(
            "account"
        )
    }
    assert set(spent) == {"one", "two"}
    assert 0 < max(spent.values()) <= worst() * Decimal("1.5")
