"""What a hostile program sends to the management API is refused by name, and never half applied."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.access.keys import key_make
from analytics.models import ApiKey, Developer
from analytics.models.keys import MANAGE_SCOPES
from optimizer.wiring.build import get_services

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/api/v1/manage"
ROWS = {
    "keys": {"name": "new"},
    "budgets": {"name": "new", "scope": "user", "subject": "ann", "period": "day", "limit": 5},
    "rules": {"name": "new", "action": "force", "tags": ["a"], "model_names": ["claude-*"]},
}


@sync_to_async
def bearer(*scopes: str, name: str = "deploy", **fields: Any) -> dict[str, str]:
    made = key_make(ApiKey(name=name, scopes=list(scopes), **fields))
    get_services().api_keys.refresh()
    return {"authorization": f"Bearer {made.secret}"}


WRONG: list[tuple[str, str, Any]] = [
    ("keys", "team", "a\0b"),
    ("keys", "project", "a\0b"),
    ("keys", "scopes", ["\ud800"]),
    ("keys", "name", 7),
    ("keys", "user", 1.5),
    ("keys", "model_names", ["\0"]),
    ("keys", "\ud800", 1),
    ("budgets", "scope", "\ud800"),
    ("budgets", "subject", 7),
    ("rules", "action", "\ud800"),
    ("rules", "note", 7),
    ("rules", "tags", [7]),
]


async def test_values_that_cannot_be_stored_and_other_types_are_refused_by_name(
    client: httpx.AsyncClient,
) -> None:
    headers = await bearer(*MANAGE_SCOPES) | {"content-type": "application/json"}

    for area, field, value in WRONG:
        body = json.dumps({**ROWS[area], field: value})
        reply = await client.post(f"{BASE}/{area}", headers=headers, content=body)

        assert reply.status_code == 400, (area, field)
        name = field.encode("utf-8", "replace").decode()
        assert any(key.split(".")[0] == name for key in reply.json()["errors"]), (area, field)
    for area in ROWS:
        rows = (await client.get(f"{BASE}/{area}", headers=headers)).json()["data"]
        assert "new" not in [row["name"] for row in rows]


async def test_an_error_does_not_repeat_a_megabyte(client: httpx.AsyncClient) -> None:
    headers = await bearer("manage:keys")

    for scopes in (["x" * 100_000], ["x"] * 10_000):
        reply = await client.post(
            f"{BASE}/keys", headers=headers, json={"name": "k", "scopes": scopes}
        )
        assert reply.status_code == 400
        assert len(reply.content) < 60_000


async def test_a_stronger_key_is_not_changed_by_sending_fewer_scopes(
    client: httpx.AsyncClient,
) -> None:
    await bearer("manage:providers", name="strong")
    strong = await ApiKey.objects.aget(name="strong")
    headers = await bearer("manage:keys", "manage:read", name="weak")

    reply = await client.patch(
        f"{BASE}/keys/{strong.pk}", headers=headers, json={"scopes": ["complete"]}
    )

    assert reply.status_code == 403
    assert (await ApiKey.objects.aget(name="strong")).scopes == ["manage:providers"]


async def test_a_key_given_to_another_user_is_no_longer_the_former_ones(
    client: httpx.AsyncClient,
) -> None:
    ann = await Developer.objects.acreate(name="ann")
    headers = await bearer("manage:keys", "manage:read")
    made = await client.post(f"{BASE}/keys", headers=headers, json={"name": "k", "user": "ann"})
    key = await ApiKey.objects.aget(name="k")
    assert key.developer_id == ann.pk

    await client.patch(f"{BASE}/keys/{made.json()['id']}", headers=headers, json={"user": "bob"})

    await key.arefresh_from_db()
    assert (key.user, key.developer_id) == ("bob", None)


async def test_a_key_limited_to_addresses_makes_none_that_manages_from_elsewhere(
    client: httpx.AsyncClient,
) -> None:
    headers = await bearer("manage:keys", addresses=["127.0.0.0/8"])
    own = await ApiKey.objects.aget(name="deploy")

    async def create(name: str, **fields: Any) -> int:
        body = {"name": name, **fields}
        return (await client.post(f"{BASE}/keys", headers=headers, json=body)).status_code

    scopes = ["manage:keys"]
    assert await create("any", scopes=scopes) == 403
    assert await create("wide", scopes=scopes, addresses=["127.0.0.1", "10.0.0.1"]) == 403
    assert await create("six", scopes=scopes, addresses=["::/0"]) == 403
    assert await create("within", scopes=scopes, addresses=["127.0.0.1"]) == 201
    assert await create("ordinary") == 201
    itself = await client.patch(f"{BASE}/keys/{own.pk}", headers=headers, json={"addresses": []})
    assert itself.status_code == 403
