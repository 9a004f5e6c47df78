"""Sessions are held back: limits, warnings, stops, and agents that run away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from analytics.budgets.opening import budget_open
from analytics.models import AgentSession, Budget, RequestRecord
from optimizer.budgets.brakes import RunawayPolicy, SessionBrakes
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
RUN = "40d122e5-3afc-41fe-a1b3-cf5978a36b9c"
AGENT = {"user-agent": "claude-cli/2.1.332 (external, cli)", "x-claude-code-session-id": RUN}
TOOLS = [{"name": "Bash", "input_schema": {"type": "object"}}]


def step(number: int) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {"command": "make"}}
    result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": "error"}
    return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]


async def ask(
    client: httpx.AsyncClient,
    *more: dict[str, Any],
    words: str = "fix it",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    body = {"model": "claude-haiku-5-5", "max_tokens": 100, "tools": TOOLS,
            "messages": [{"role": "user", "content": words}, *more]}  # fmt: skip
    return await client.post("/v1/messages", json=body, headers={**AGENT, **(headers or {})})


async def refreshed() -> SessionBrakes:
    services = get_services()
    await sync_to_async(services.budgets.refresh)()
    await sync_to_async(services.brakes.refresh)()
    await sync_to_async(services.brakes.refresh_runaways)()
    return services.brakes


async def limited(**fields: Any) -> None:
    budget = Budget(name="each session", scope="session", **fields)
    await sync_to_async(budget_open)(budget)
    await refreshed()


async def session() -> AgentSession:
    return await AgentSession.objects.aget(session_id=RUN, sub_agent="")


async def test_parallel_sub_agents_never_pass_the_session_s_limit(
    client: httpx.AsyncClient,
) -> None:
    await limited(limit=D("0.005"))

    async def sub_agent(number: int) -> int:
        reply = await ask(
            client, words=f"search {number}", headers={"x-claude-code-agent-id": f"a{number}"}
        )
        return reply.status_code

    statuses = await asyncio.gather(*(sub_agent(n) for n in range(40)))
    statuses += await asyncio.gather(*(sub_agent(n) for n in range(40, 80)))
    assert set(statuses) == {200, 402}
    row = await session()
    assert D(0) < row.cost <= D("0.005")
    assert row.requests == statuses.count(200)


async def test_at_the_limit_an_agent_gets_an_error_that_it_shows(
    client: httpx.AsyncClient,
) -> None:
    await limited(limit=D("0.0000001"))
    reply = await ask(client)
    assert reply.status_code == 402
    assert reply.headers["x-should-retry"] == "false"
    assert "retry-after" not in reply.headers
    error = reply.json()["error"]
    assert error["type"] == "billing_error"
    assert "this session's budget" in error["message"]
    other = await ask(client, headers={"user-agent": "curl/8", "x-session-id": "mine"})
    assert other.status_code == 429, "other clients know this as a limit"


async def test_a_soft_limit_warns_in_a_header_and_refuses_nothing(
    client: httpx.AsyncClient,
) -> None:
    await limited(soft_limit=D("0.0000001"), limit=D(5))
    first = await ask(client)
    assert "x-optimizer-warning" not in first.headers
    await refreshed()
    second = await ask(client, words="and now")
    assert second.status_code == 200
    warning = second.headers["x-optimizer-warning"]
    assert warning.startswith("This session has spent $0.000")
    assert "The limit is $5.00." in warning
    another = await ask(client, headers={"x-claude-code-session-id": "another"})
    assert "x-optimizer-warning" not in another.headers


async def test_a_stopped_session_ends_at_its_next_call(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    assert (await ask(client)).status_code == 200
    await AgentSession.objects.aupdate(stopped_at=timezone.now(), stop_reason="by ann")
    await refreshed()
    called = len(fakes["claude"].asked)
    reply = await ask(client, words="go on")
    assert (reply.status_code, reply.headers["x-should-retry"]) == (402, "false")
    assert "stopped this session: by ann" in reply.json()["error"]["message"]
    assert len(fakes["claude"].asked) == called
    assert (await ask(client, headers={"x-claude-code-session-id": "new"})).status_code == 200
    refused = await RequestRecord.objects.filter(status="refused").aget()
    assert refused.error_code == "session_stopped"
    await AgentSession.objects.aupdate(stopped_at=None)
    await refreshed()
    assert (await ask(client, words="go on")).status_code == 200


async def test_complete_is_stopped_too(client: httpx.AsyncClient) -> None:
    body = {"prompt": "hello", "session": "task"}
    assert (await client.post("/complete", json=body)).status_code == 200
    await AgentSession.objects.aupdate(stopped_at=timezone.now(), stop_reason="by ann")
    await refreshed()
    reply = await client.post("/complete", json=body)
    assert reply.status_code == 403
    assert "by ann" in reply.json()["detail"]


async def test_complete_warns_of_a_soft_limit(client: httpx.AsyncClient) -> None:
    await limited(soft_limit=D("0.0000001"), limit=D(5))
    body = {"prompt": "hello", "session": "task"}
    assert "x-optimizer-warning" not in (await client.post("/complete", json=body)).headers
    await refreshed()
    reply = await client.post("/complete", json={**body, "prompt": "hello again"})
    assert reply.headers["x-optimizer-warning"].startswith("This session has spent $0.000")
    other = await client.post("/complete", json={**body, "session": "another"})
    assert "x-optimizer-warning" not in other.headers


def with_policy(policy: RunawayPolicy) -> list[float]:
    """Give the running service another policy, and return how long it makes agents wait."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    brakes = get_services().brakes
    brakes._policy, brakes._sleep = policy, sleep
    return waited


def rounds(count: int) -> Sequence[dict[str, Any]]:
    return [message for number in range(count) for message in step(number)]


async def test_an_agent_that_repeats_itself_is_warned_of(client: httpx.AsyncClient) -> None:
    with_policy(RunawayPolicy("warn", rounds=5))
    assert "x-optimizer-warning" not in (await ask(client, *rounds(4))).headers
    reply = await ask(client, *rounds(5))
    assert reply.status_code == 200
    assert "the same steps 5 times, lately Bash" in reply.headers["x-optimizer-warning"]
    await get_services().ledger.catch_up()
    await ask(client, words="something else")
    assert "5 times" in (await session()).runaway_reason


async def test_it_is_slowed_more_and_more(client: httpx.AsyncClient) -> None:
    waited = with_policy(RunawayPolicy("slow", rounds=5))
    for count in (4, 5, 6, 7, 30):
        assert (await ask(client, *rounds(count))).status_code == 200
    assert waited == [1.0, 2.0, 4.0, 30.0]


async def test_it_is_stopped_until_a_person_speaks(client: httpx.AsyncClient) -> None:
    with_policy(RunawayPolicy("stop", rounds=5))
    reply = await ask(client, *rounds(5))
    assert reply.status_code == 402
    assert "Say what to do next" in reply.json()["error"]["message"]
    spoken = await ask(client, *rounds(5), {"role": "user", "content": "use another way"})
    assert spoken.status_code == 200


async def test_cost_without_a_word_of_a_person_is_a_sign(client: httpx.AsyncClient) -> None:
    with_policy(RunawayPolicy("warn", rounds=0, cost=D("0.000001")))
    await ask(client)
    await ask(client, *rounds(1))
    await refreshed()
    reply = await ask(client, *rounds(2))
    assert "since a person's last words" in reply.headers["x-optimizer-warning"]
    before = (await session()).calls_since_human
    await ask(client, *rounds(2), {"role": "user", "content": "well"})
    assert (before, (await session()).calls_since_human) == (3, 1)


async def test_off_is_off(client: httpx.AsyncClient) -> None:
    with_policy(RunawayPolicy("off"))
    assert "x-optimizer-warning" not in (await ask(client, *rounds(20))).headers
