"""Pools and moves of shadow evaluation by the management API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.models import RoutingRule, ShadowMove
from analytics.models.keys import MANAGE_SCOPES
from optimizer.wiring.build import get_services
from tests.analytics.quality.test_shadow import BAD, GOOD, NAMED, pairs
from tests.conftest import Start
from tests.optimizer.api.manage.test_management_api import BASE, Manager, bearer, manager, trail

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["manager"]
CATALOGUE = """
[pools.openai]
choose = "least_busy"
[[pools.openai.members]]
name = "eu"
key_env = "EU_KEY"
regions = ["eu"]
most_at_once = 16
[[pools.openai.members]]
name = "us"
key_env = "US_KEY"
weight = 3
"""


@pytest.fixture
async def pooled(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> Manager:
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(CATALOGUE)
    settings.CATALOGUE_FILE = str(catalogue)
    for name in ("EU", "US"):
        monkeypatch.setenv(f"{name}_KEY", f"the-secret-of-{name}")
    client = await start()
    return Manager(client, await bearer("manage:read"))


async def test_pools_are_shown_with_their_members_and_no_key(pooled: Manager) -> None:
    answer = await pooled("GET", "pools")
    assert answer.status_code == 200
    (pool,) = answer.json()["data"]
    assert (pool["provider"], pool["choose"]) == ("openai", "least_busy")
    members = {member["name"]: member for member in pool["members"]}
    assert members["eu"]["most_at_once"] == 16
    assert members["eu"]["regions"] == ["eu"]
    assert (members["us"]["weight"], members["us"]["most_at_once"]) == (3, None)
    assert members["us"]["busy"] == 0
    assert "secret" not in answer.text
    assert (await pooled("GET", "pools/openai")).json() == pool
    missing = await pooled("GET", "pools/claude")
    assert missing.status_code == 404
    assert "no pool of claude" in missing.text
    assert (await pooled("POST", "pools", {})).status_code in {403, 405}


async def test_without_pools_there_are_none(manager: Manager) -> None:
    assert (await manager("GET", "pools")).json() == {"data": []}


async def test_kinds_are_moved_and_moved_back(manager: Manager) -> None:
    await sync_to_async(pairs)(GOOD)
    await sync_to_async(pairs)(BAD, pattern="code")
    seen = (await manager("GET", "shadow?days=7")).json()
    assert (seen["days"], seen["margin"], seen["pairs"]) == (7, 0.05, len(GOOD) + len(BAD))
    kinds = {kind["pattern"]: kind for kind in seen["kinds"]}
    assert (kinds["factual"]["verdict"], kinds["factual"]["movable"]) == ("moves", True)
    assert (kinds["code"]["verdict"], kinds["code"]["movable"]) == ("worse", False)
    moved = await manager("POST", "shadow/moves", {"days": 7})
    assert moved.status_code == 201
    (rule,) = moved.json()["rules"]
    assert NAMED in rule
    assert moved.json()["evidence"][0]["pairs"] == len(GOOD)
    assert [one.name for one in get_services().rules.rules] == [rule]
    kinds = {k["pattern"]: k for k in (await manager("GET", "shadow")).json()["kinds"]}
    assert not kinds["factual"]["movable"]
    again = await manager("POST", "shadow/moves", {})
    assert again.status_code == 409
    undone = await manager("POST", "shadow/moves/undo")
    assert undone.status_code == 200
    assert "by the key deploy" in undone.json()["undone_by"]
    assert not get_services().rules.rules
    assert not await RoutingRule.objects.aexists()
    listed = (await manager("GET", "shadow/moves")).json()["data"]
    assert listed == [undone.json()]
    assert (await manager("POST", "shadow/moves/undo")).status_code == 409
    entries = [entry for entry in await trail() if "moved:" in entry or "undone:" in entry]
    assert len(entries) == 2
    assert all(entry.startswith("management API") for entry in entries)


async def test_who_may_move(client: httpx.AsyncClient) -> None:
    await sync_to_async(pairs)(GOOD)
    others = [scope for scope in MANAGE_SCOPES if scope != "manage:policies"]
    other = Manager(client, await bearer(*others))
    for path in ("shadow/moves", "shadow/moves/undo"):
        assert (await other("POST", path, {})).status_code == 403
    reader = Manager(client, await bearer("manage:policies", name="writer"))
    assert (await reader("GET", "shadow")).status_code == 403
    assert (await client.post(f"{BASE}/shadow/moves", json={})).status_code == 401
    assert not await ShadowMove.objects.aexists()


@pytest.mark.parametrize("body", [{"days": 0}, {"days": "7"}, {"days": 366}, {"dys": 7}, [1]])
async def test_what_is_wrong_moves_nothing(body: Any, manager: Manager) -> None:
    await sync_to_async(pairs)(GOOD)
    assert (await manager("POST", "shadow/moves", body)).status_code == 400
    assert (await manager("GET", "shadow?days=0")).status_code == 400
    assert not await ShadowMove.objects.aexists()
