"""How often a key may manage the service, and how often wrong keys may be tried."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.optimizer.api.manage.test_management_api import BASE, Manager, bearer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def client(fakes: dict[str, FakeProvider], start: Start, settings: Any) -> httpx.AsyncClient:
    settings.MANAGE_REQUESTS_PER_MINUTE = 3
    return await start()


async def test_a_key_has_its_limit_and_is_told_when_to_come_again(
    client: httpx.AsyncClient,
) -> None:
    one = Manager(client, await bearer("manage:read", name="one"))
    other = Manager(client, await bearer("manage:read", "complete", name="other"))
    answers = [await one("GET", "levers") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [a.headers["x-ratelimit-remaining-requests"] for a in answers] == ["2", "1", "0"]
    refused = await one("GET", "levers")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    detail = refused.json()["detail"]
    assert detail.startswith("This API key's management limit of 3 requests a minute is reached.")
    assert (await other("GET", "levers")).status_code == 200


async def test_what_a_key_may_not_counts_too(client: httpx.AsyncClient) -> None:
    manage = Manager(client, await bearer("complete", name="usual"))
    answers = [(await manage("GET", "levers")).status_code for _ in range(4)]
    assert answers == [403, 403, 403, 429]


async def test_other_requests_of_the_key_do_not_count(client: httpx.AsyncClient) -> None:
    headers = await bearer("manage:read", "complete")
    for number in range(4):
        asked = await client.post("/complete", json={"prompt": f"{number}?"}, headers=headers)
        assert asked.status_code == 200
    assert (await Manager(client, headers)("GET", "levers")).status_code == 200


async def test_wrong_keys_are_limited_and_lock_nobody_out(client: httpx.AsyncClient) -> None:
    right = Manager(client, await bearer("manage:read"))
    wrong = [{"authorization": f"Bearer aco_{n}"} for n in range(20)]
    for headers in (*wrong, {}):
        last = await client.get(f"{BASE}/levers", headers=headers)
        assert last.status_code == (401 if headers else 429)
    assert "This address's limit of 20 wrong API keys a minute" in last.json()["detail"]
    assert last.headers["retry-after"]
    assert "x-ratelimit-limit-wrong API keys" not in last.headers
    assert (await right("GET", "levers")).status_code == 200
