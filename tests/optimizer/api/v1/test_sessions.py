"""GET /v1/sessions/{id}, and how the APIs find a request's session."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make
from analytics.models import AgentSession, ApiKey, RequestRecord, Team
from optimizer.wiring.build import get_services

pytestmark = pytest.mark.django_db(transaction=True)
RUN = "40d122e5-3afc-41fe-a1b3-cf5978a36b9c"
CLAUDE_CODE = {
    "user-agent": "claude-cli/2.1.332 (external, cli)",
    "x-claude-code-session-id": RUN,
}


async def message(client: httpx.AsyncClient, words: str, **headers: str) -> httpx.Response:
    body = {"model": "claude-haiku-5-5", "max_tokens": 50,
            "messages": [{"role": "user", "content": words}]}  # fmt: skip
    reply = await client.post("/v1/messages", json=body, headers={**CLAUDE_CODE, **headers})
    assert reply.status_code == 200, reply.text
    return reply


async def key_of_team(name: str) -> dict[str, str]:
    team = await Team.objects.acreate(name=name)
    secret = (await sync_to_async(key_make)(ApiKey(name=name, team=team, user=name))).secret
    await sync_to_async(get_services().api_keys.refresh)()
    return {"authorization": f"Bearer {secret}"}


async def session(client: httpx.AsyncClient, name: str = RUN, **headers: str) -> dict[str, Any]:
    reply = await client.get(f"/v1/sessions/{name}", headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_a_session_is_told_with_its_sub_agents_and_calls(client: httpx.AsyncClient) -> None:
    first = await message(client, "fix the login")
    await message(client, "search for it", **{"x-claude-code-agent-id": "a1"})
    assert first.headers["x-optimizer-session"] == RUN
    told = await session(client)
    assert (told["id"], told["agent"], told["requests"]) == (RUN, "claude-code", 2)
    assert [(call["turn"], call["depth"]) for call in told["calls"]] == [
        ("human", 0), ("sub_agent", 1),
    ]  # fmt: skip
    assert told["calls"][0]["request_id"] == first.headers["x-request-id"]
    assert [(row["id"], row["requests"]) for row in told["sub_agents"]] == [("a1", 1)]
    rows = [row async for row in RequestRecord.objects.all()]
    assert told["cost"] == pytest.approx(float(sum(row.cost or 0 for row in rows)))
    assert told == await session(client, RUN) | {"calls": told["calls"]}
    assert (await client.get(f"/api/v1/sessions/{RUN}")).json() == told


async def test_clients_see_their_own_sessions_alone(client: httpx.AsyncClient) -> None:
    red, blue = await key_of_team("red"), await key_of_team("blue")
    await message(client, "fix the login", **red)
    await message(client, "fix the logout", **red)
    assert (await session(client, **red))["requests"] == 2
    assert (await client.get(f"/v1/sessions/{RUN}", headers=blue)).status_code == 404
    await message(client, "another's", **blue)
    assert (await session(client, **blue))["requests"] == 1
    assert (await session(client, **red))["requests"] == 2


async def test_an_unknown_session_is_not_found(client: httpx.AsyncClient) -> None:
    reply = await client.get("/v1/sessions/nobody/knows")
    assert reply.status_code == 404
    assert "no session" in reply.json()["detail"]


@pytest.mark.parametrize("where", ["field", "header"])
async def test_complete_has_sessions_too(client: httpx.AsyncClient, where: str) -> None:
    body: dict[str, Any] = {"prompt": "What is 2+2?"}
    headers = {}
    if where == "field":
        body["session"] = "task-1"
    else:
        headers = {"x-session-id": "task-1"}
    for _ in range(2):
        assert (await client.post("/complete", json=body, headers=headers)).status_code == 200
    told = await session(client, "task-1")
    assert (told["requests"], told["cache_hits"], told["human_turns"]) == (2, 1, 2)


@pytest.mark.parametrize("odd", ["", " ", "x" * 129, 3, None, "\0"])
async def test_complete_refuses_what_is_no_session(client: httpx.AsyncClient, odd: Any) -> None:
    reply = await client.post("/complete", json={"prompt": "hello", "session": odd})
    assert reply.status_code == 400
    assert "session" in reply.json()["errors"]


async def test_without_a_session_complete_has_none(client: httpx.AsyncClient) -> None:
    assert (await client.post("/complete", json={"prompt": "hello"})).status_code == 200
    assert not await AgentSession.objects.aexists()


async def test_a_response_that_is_gone_on_from_shows_the_session(
    client: httpx.AsyncClient,
) -> None:
    """OpenAI keeps the conversation, so its beginning is not sent again."""
    await RequestRecord.objects.acreate(
        id="019ab2f4-55a1-7c3e-9d5a-0b1f7b0f1d11", session_id="before", response_id="resp_abc",
        pattern="general", complexity=0, tier="simple", strategy="named", confidence="low",
    )  # fmt: skip
    find = get_services().provider_objects.session_of_response
    anyone = type("Anyone", (), {"tenant": ""})()
    assert await find("resp_abc", anyone) == "before"
    assert await find("resp_abd", anyone) == ""
    other = type("Other", (), {"tenant": "team:red"})()
    assert await find("resp_abc", other) == ""
