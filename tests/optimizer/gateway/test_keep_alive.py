"""A session's prompt cache is kept while that pays, and its cost is recorded as such."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from analytics.access.keys import key_make, key_revoke
from analytics.budgets.opening import budget_open
from analytics.models import AgentSession, ApiKey, Budget, RequestRecord, RoutingMetric
from analytics.reports.report import routing_report
from analytics.reports.turn_gaps import AgentGaps, keep_alive_figures, turn_gaps
from optimizer.domain.identifiers import new_request_id
from optimizer.domain.levers import LeverTrial
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.keep_alive import CacheHabits, CacheKeeper, reading_request
from optimizer.wiring.build import get_services
from providers.chat import Chat
from providers.tier_attempts import TierAttempt
from routing.models import ModelRef
from tests.conftest import Start
from tests.factories import RequestRecordFactory, RoutingMetricFactory
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_message

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
RUN = "40d122e5-3afc-41fe-a1b3-cf5978a36b9c"
AGENT = {"user-agent": "claude-cli/2.1.332 (external, cli)", "x-claude-code-session-id": RUN}
MODEL = "claude-sonnet-5-5"
CACHED = {"input_tokens": 10, "cache_read_input_tokens": 40_000, "output_tokens": 5}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def client(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> httpx.AsyncClient:
    settings.PROMPT_CACHE_KEEP_ALIVE = True
    fakes["claude"].always(Reply(anthropic_message(MODEL, usage=CACHED)))
    return await start()


def keep_alive(gap: float = 400.0) -> tuple[CacheKeeper, Clock]:
    """The running one, with a clock of ours, where all sessions wait so long."""
    keeper, clock = get_services().keep_alive, Clock()
    assert keeper is not None
    keeper._clock = clock
    habits = CacheHabits(lambda: {"claude-code": AgentGaps([gap] * 100, 0, 0.1)})
    habits.refresh()
    keeper._habits = habits
    return keeper, clock


async def ask(
    client: httpx.AsyncClient, words: str = "go", key: str = "", **fields: Any
) -> httpx.Response:
    body = {"model": MODEL, "max_tokens": 500, "system": "many words " * 3_000,
            "messages": [{"role": "user", "content": words}], **fields}  # fmt: skip
    headers = {**AGENT, "x-api-key": key} if key else AGENT
    reply = await client.post("/v1/messages", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    return reply


async def look(keeper: CacheKeeper) -> int:
    return await keeper.look(get_services().routing.complete)


async def test_the_same_prefix_is_read_for_one_token_before_the_cache_ends(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    keeper, clock = keep_alive()
    await ask(client)
    sent = fakes["claude"].asked[-1].body
    assert await look(keeper) == 0
    clock.now += 275
    assert await look(keeper) == 1
    read = fakes["claude"].asked[-1].body
    assert {**read, "max_tokens": 500} == sent
    assert read["max_tokens"] == 1
    row = await RequestRecord.objects.aget(turn="keep_alive")
    assert (row.session_id, row.cost, row.cache_hit) == (RUN, row.cost, False)
    metric = await RoutingMetric.objects.aget(pk=row.pk)
    assert metric.prompt_cache_saved == -row.cost
    assert metric.routing_saved == 0
    session = await AgentSession.objects.aget()
    assert session.requests == 2
    assert session.cost == sum([r.cost async for r in RequestRecord.objects.all()])


async def test_it_ends_when_no_turn_is_expected_any_more(client: httpx.AsyncClient) -> None:
    keeper, clock = keep_alive(gap=700.0)
    await ask(client)
    reads = 0
    for _ in range(40):
        clock.now += 100
        reads += await look(keeper)
    assert reads == 2, "at 300 and 600 seconds; all past turns came before the next one"


async def test_nothing_is_read_where_it_does_not_pay(client: httpx.AsyncClient) -> None:
    keeper, clock = keep_alive(gap=20.0)
    await ask(client)
    clock.now += 275
    assert await look(keeper) == 0


@pytest.mark.parametrize("change", ["stopped", "answered elsewhere"])
async def test_a_session_that_goes_on_or_is_stopped_is_left_alone(
    client: httpx.AsyncClient, change: str
) -> None:
    keeper, clock = keep_alive()
    await ask(client)
    if change == "stopped":
        await AgentSession.objects.aupdate(stopped_at=timezone.now())
    else:
        await sync_to_async(RequestRecordFactory)(session_id=RUN, turn="tool_result")
    clock.now += 275
    assert await look(keeper) == 0


async def test_a_budget_that_is_used_up_ends_it(client: httpx.AsyncClient) -> None:
    keeper, clock = keep_alive()
    await ask(client)
    budget = Budget(name="each session", scope="session", limit=D("0.0000001"))
    await sync_to_async(budget_open)(budget)
    await sync_to_async(get_services().budgets.refresh)()
    clock.now += 275
    assert await look(keeper) == 0
    assert not await RequestRecord.objects.filter(turn="keep_alive", status="ok").aexists()


@pytest.mark.parametrize("change", ["revoked", "expired", "other models"])
async def test_a_key_that_holds_no_more_ends_it(client: httpx.AsyncClient, change: str) -> None:
    made = await sync_to_async(key_make)(ApiKey(name="ann"))
    keys = get_services().api_keys
    await sync_to_async(keys.refresh)()
    keeper, clock = keep_alive()
    await ask(client, key=made.secret)
    if change == "revoked":
        await sync_to_async(key_revoke)(made.key)
    else:
        now = timezone.now()
        changed = {"expires_at": now} if change == "expired" else {"model_names": ["gpt-*"]}
        await ApiKey.objects.filter(pk=made.key.pk).aupdate(**changed, changed_at=now)
    await sync_to_async(keys.refresh)()
    clock.now += 275
    assert await look(keeper) == 0


async def test_a_key_that_holds_keeps_its_cache(client: httpx.AsyncClient) -> None:
    made = await sync_to_async(key_make)(ApiKey(name="ann"))
    await sync_to_async(get_services().api_keys.refresh)()
    keeper, clock = keep_alive()
    await ask(client, key=made.secret)
    clock.now += 275
    assert await look(keeper) == 1


async def test_a_cache_that_has_ended_is_not_written_anew(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    keeper, clock = keep_alive(gap=1000.0)
    await ask(client)
    clock.now += 301
    assert await look(keeper) == 0
    assert len(fakes["claude"].asked) == 1


async def test_reasoning_with_a_budget_and_uncached_answers_are_not_kept(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    keeper, clock = keep_alive()
    await ask(client, max_tokens=3000, thinking={"type": "enabled", "budget_tokens": 1024})
    usage = {"input_tokens": 40_000, "output_tokens": 5}
    clock.now += 275
    assert await look(keeper) == 0
    fakes["claude"].always(Reply(anthropic_message(MODEL, usage=usage)))
    await ask(client)
    clock.now += 275
    assert await look(keeper) == 0


async def test_it_is_off_by_default(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    await start()
    assert get_services().keep_alive is None
    assert not get_services().chat_requests._for_an_hour("claude-code")


async def test_marks_for_an_hour_where_these_pay(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    waits = [5.0] * 50 + [3000.0] * 50
    habits = CacheHabits(lambda: {"claude-code": AgentGaps(waits, 0, 0.1)})
    habits.refresh()
    get_services().chat_requests._for_an_hour = habits.for_an_hour
    await ask(client, model="auto")
    mark = fakes["claude"].asked[-1].body["system"][-1]["cache_control"]
    assert mark == {"type": "ephemeral", "ttl": "1h"}


class TestFigures:
    START = datetime.now(UTC) - timedelta(hours=5)

    def call(self, minute: float, turn: str = "tool_result", **fields: Any) -> RequestRecord:
        return RequestRecordFactory(**{
            "session_id": "s", "agent": "codex", "turn": turn, "latency_ms": 0.0,
            "created_at": self.START + timedelta(minutes=minute), **fields,
        })  # fmt: skip

    def test_gaps_are_between_turns_and_a_last_turn_ends_a_session(self) -> None:
        self.call(0, latency_ms=30_000.0)
        self.call(1)
        self.call(2, "title")
        self.call(3, "keep_alive")
        self.call(11)
        self.call(0, session_id="other", cache_write_tokens=5, tokens_in=20)
        self.call(0, session_id="chat", agent="chat")
        gaps = turn_gaps()["codex"]
        assert sorted(gaps.seconds) == [30.0, 600.0]
        assert gaps.ended == 2
        assert gaps.written == pytest.approx(5 / 80)

    def test_what_was_saved_counts_where_the_cache_would_have_ended(self) -> None:
        self.call(0)
        self.call(4, "keep_alive", cost=D("0.01"))
        late = self.call(8, cache_read_tokens=9)
        RoutingMetricFactory(request=late, prompt_cache_saved=D("0.2"))
        self.call(12, "keep_alive", cost=D("0.01"))
        early = self.call(12.5, cache_read_tokens=9)
        RoutingMetricFactory(request=early, prompt_cache_saved=D("0.2"))
        figures = keep_alive_figures(self.START)
        assert figures == {"calls": 2, "cost": D("0.02"), "turns": 1, "saved": D("0.2")}
        assert routing_report(1)["keep_alive"] == figures


def test_a_reading_takes_part_in_no_trial_and_answers_nobody() -> None:
    request = GatewayRequest(
        Chat.of_prompt("go", 50), "go", "",
        trials=(LeverTrial("short_answers", "treated", 0.95),),
        first_tier=TierAttempt("flex", 60.0), passed_over="Paris", deadline=300.0,
        accepts_later=True, webhook="https://example.com", deferred=new_request_id(), held=True,
    )  # fmt: skip
    reading = reading_request(request, ModelRef("claude", MODEL))
    assert (reading.trials, reading.first_tier, reading.passed_over) == ((), None, "")
    assert (reading.deadline, reading.accepts_later, reading.webhook) == (None, False, "")
    assert (reading.deferred, reading.held) == (None, False)
