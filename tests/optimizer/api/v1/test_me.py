"""GET /me and /me/usage: a client sees its own limits, budgets and spending, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make, key_rotate
from analytics.models import ApiKey, Project, Team
from optimizer.wiring.build import get_services
from tests.factories import BudgetFactory, RequestRecordFactory


async def key(name: str, **fields: Any) -> tuple[ApiKey, dict[str, str]]:
    row = ApiKey(name=name, **fields)
    made = await sync_to_async(key_make)(row)
    await sync_to_async(get_services().api_keys.refresh)()
    return row, {"authorization": f"Bearer {made.secret}"}


async def get(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ask(client: httpx.AsyncClient, headers: dict[str, str], content: str) -> None:
    answer = await client.post(
        "/v1/chat/completions",
        json={"model": "auto", "messages": [{"role": "user", "content": content}]},
        headers=headers,
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["/me", "/v1/me", "/api/v1/me"])
async def test_a_key_sees_what_it_may_do_and_what_its_budgets_leave(
    client: httpx.AsyncClient, path: str
) -> None:
    team = await Team.objects.acreate(name="red")
    project = await Project.objects.acreate(name="shop", team=team, tags=["web"])
    row, headers = await key(
        "laptop", project=project, user="ann", model_names=["claude-*"], requests_per_minute=50,
        expires_at=datetime.now(UTC) + timedelta(days=9),
    )  # fmt: skip
    for name, fields in {
        "all": {"scope": "everything", "limit": Decimal(100)},
        "each user": {"scope": "user", "limit": Decimal(5), "period": "day"},
        "bob": {"scope": "user", "subject": "bob", "limit": Decimal(7)},
        "this key": {"scope": "key", "subject": row.prefix, "soft_limit": 1, "limit": None},
        "one model": {"scope": "model", "subject": "claude/claude-haiku-5-5"},
        "off": {"scope": "everything", "enabled": False},
    }.items():  # fmt: skip
        await sync_to_async(BudgetFactory)(name=name, **fields)
    await sync_to_async(get_services().budgets.refresh)()
    await ask(client, headers, "What is the capital of France?")
    await get_services().routing.drain()

    me = await get(client, path, headers)
    assert (me["key"], me["name"], me["user"]) == (row.prefix, "laptop", "ann")
    assert (me["team"], me["project"], me["tags"]) == ("red", "shop", ["web"])
    assert me["models"] == ["claude-*"]
    assert me["limits"]["requests_per_minute"] == 50
    assert me["expires_at"] is not None
    budgets = {one["name"]: one for one in me["budgets"]}
    assert set(budgets) == {"all", "each user", "this key"}
    for one in budgets.values():
        assert one["spent"] + one["held"] > 0
    assert budgets["each user"]["left"] == pytest.approx(5 - budgets["each user"]["spent"])
    assert budgets["this key"]["left"] is None


async def test_usage_is_one_s_own_with_the_keys_that_were_replaced(
    client: httpx.AsyncClient,
) -> None:
    mine, headers = await key("mine")
    _, others = await key("other")
    await ask(client, headers, "What is the capital of France?")
    await ask(client, others, "What is the capital of Spain?")
    fresh = await sync_to_async(key_rotate)(mine, timedelta(hours=1))
    await sync_to_async(get_services().api_keys.refresh)()
    headers = {"authorization": f"Bearer {fresh.secret}"}
    await ask(client, headers, "What is the capital of Italy?")

    usage = await get(client, "/v1/me/usage?days=7", headers)
    assert usage["total"]["requests"] == 2
    assert [row["requests"] for row in usage["by_day"]] == [2]
    assert sum(row["requests"] for row in usage["by_model"]) == len(usage["requests"]) == 2
    assert usage["total"]["cost"] == pytest.approx(sum(row["cost"] for row in usage["requests"]))
    assert len(usage["sessions"]) == 2
    assert (await get(client, "/me/usage", others))["total"]["requests"] == 1


async def test_a_user_s_keys_count_together_and_only_in_their_team(
    client: httpx.AsyncClient,
) -> None:
    team = await Team.objects.acreate(name="red")
    _, laptop = await key("laptop", team=team, user="ann")
    await key("phone", team=team, user="ann")
    for tenant, prefix in (("team:red", "phone"), ("team:blue", "theirs")):
        await sync_to_async(RequestRecordFactory)(
            tenant=tenant, api_key=prefix, user_id="ann", created_at=datetime.now(UTC)
        )
    assert (await get(client, "/me/usage", laptop))["total"]["requests"] == 1


@pytest.mark.parametrize("days", ["0", "93", "-1", "x", "1.5", "²"])
async def test_wrong_days_are_named(client: httpx.AsyncClient, days: str) -> None:
    _, headers = await key("mine")
    answer = await client.get(f"/v1/me/usage?days={days}", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"] == {"days": ["Must be a whole number from 1 to 92."]}


async def test_without_a_key_nobody_is_there_once_keys_exist(client: httpx.AsyncClient) -> None:
    assert (await get(client, "/me", {}))["key"] == ""
    await key("mine")
    for path in ("/me", "/v1/me/usage"):
        assert (await client.get(path)).status_code == 401
