"""The management API: what a key of which scope may change, and that it is in force and audited."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIRequestFactory

from analytics.access.audit import MANAGEMENT_API
from analytics.access.keys import key_make
from analytics.models import ApiKey, LeverChange, Project, RuleChange, Team
from analytics.models.keys import MANAGE_SCOPES
from optimizer.api.manage.keys import ManagedKeysViewSet
from optimizer.api.manage.levers import ManagedLeversViewSet
from optimizer.domain.levers import LEVERS
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.fakes.wires import KEY, anthropic_wire

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/api/v1/manage"
SECRET = "sk-ant-a-very-secret-key-9Zq7"
HAIKU = "claude/claude-haiku-5-5"
OPUS = "claude/claude-opus-5-5"


@sync_to_async
def bearer(*scopes: str, name: str = "deploy") -> dict[str, str]:
    made = key_make(ApiKey(name=name, scopes=list(scopes)))
    get_services().api_keys.refresh()
    return {"authorization": f"Bearer {made.secret}"}


@sync_to_async
def trail() -> list[str]:
    return [
        f"{e.user.username} | {e.object_repr} | {e.change_message}"
        for e in LogEntry.objects.order_by("pk").select_related("user")
    ]


class Manager:
    """A program that manages the service with one key."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers

    async def __call__(self, method: str, path: str, json: Any = None) -> httpx.Response:
        return await self._client.request(
            method, f"{BASE}/{path}", headers=self._headers, json=json
        )


@pytest.fixture
async def manager(client: httpx.AsyncClient) -> Manager:
    return Manager(client, await bearer(*MANAGE_SCOPES, "complete"))


AREAS = {
    "manage:providers": ("POST", "providers/claude/keys", {"secret": SECRET}),
    "manage:models": ("PATCH", f"models/{HAIKU}", {"on": False}),
    "manage:policies": ("PATCH", "levers/effort", {"mode": "on"}),
    "manage:budgets": ("POST", "budgets", {"name": "all", "limit": 5}),
    "manage:keys": ("POST", "keys", {"name": "ann"}),
    "manage:alerts": (
        "POST",
        "alerts",
        {"name": "month", "metric": "forecast", "limit": 9, "emails": "a@example.org"},
    ),
}


async def test_each_area_needs_its_own_scope(client: httpx.AsyncClient) -> None:
    for number, scope in enumerate(AREAS):
        others = [other for other in MANAGE_SCOPES if other != scope]
        manage = Manager(client, await bearer(*others, "complete", "read", name=f"key {number}"))
        refused = await manage(*AREAS[scope])
        assert refused.status_code == 403, scope
        assert scope in refused.json()["detail"]
    writer = Manager(client, await bearer("manage:budgets", name="writer"))
    assert (await writer("GET", "budgets")).status_code == 403
    assert (await writer(*AREAS["manage:budgets"])).status_code == 201


async def test_it_needs_a_key_even_where_requests_need_none(
    client: httpx.AsyncClient, settings: Any
) -> None:
    assert (await client.get("/providers")).status_code == 200
    assert (await client.get(f"{BASE}/providers")).status_code == 401
    usual = Manager(client, await bearer("complete", "feedback", "read"))
    assert (await usual("GET", "providers")).status_code == 403


async def test_a_stored_key_serves_and_is_never_shown(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProvider(anthropic_wire) as claude:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", claude.url)
        client = await start()
        headers = await bearer(*MANAGE_SCOPES, "complete")
        manage = Manager(client, headers)
        made = await manage("POST", "providers/claude/keys", {"secret": KEY, "note": "search"})
        assert made.status_code == 201
        (key,) = made.json()["keys"]
        assert key["in_use"]
        tested = (await manage("POST", "providers/claude/test")).json()
        assert tested["works"]
        assert tested["cost"] > 0
        answered = await client.post("/complete", json={"prompt": "Hi"}, headers=headers)
        assert answered.json()["provider"] == "claude"
        shown = await manage("GET", "providers/claude")
        removed = await manage("DELETE", f"providers/claude/keys/{key['id']}")
        assert removed.status_code == 204
        assert not (await manage("GET", "providers/claude")).json()["configured"]
        assert KEY not in made.text + shown.text + str(await trail())
        assert (await manage("DELETE", f"providers/claude/keys/{key['id']}")).status_code == 404


async def test_the_environment_wins_and_the_answer_names_its_variable(manager: Manager) -> None:
    shown = (await manager("GET", "providers/claude")).json()
    assert shown["set_by"] == "ANTHROPIC_API_KEY"
    refused = await manager("POST", "providers/claude/keys", {"secret": SECRET})
    assert refused.status_code == 409
    assert "ANTHROPIC_API_KEY" in refused.json()["detail"]
    assert SECRET not in refused.text
    # What needs a base URL first, or more than a key.
    for provider in ("vllm", "vertex", "local"):
        refused = await manager("POST", f"providers/{provider}/keys", {"secret": SECRET})
        assert refused.json()["errors"]["provider"], provider
    assert (await manager("POST", "providers/none/keys", {"secret": SECRET})).status_code == 404


async def test_a_model_is_switched_off_and_on(manager: Manager, client: httpx.AsyncClient) -> None:
    off = await manager("PATCH", f"models/{HAIKU}", {"on": False})
    assert off.json()["on"] is False
    assert not get_services().caller.serves(*HAIKU.split("/"))
    assert (await manager("PATCH", "models/claude/none", {"on": False})).status_code == 404
    assert (await manager("PATCH", f"models/{HAIKU}", {"on": "no"})).json()["errors"]["on"]
    assert (await manager("PATCH", f"models/{HAIKU}", {"on": True})).json()["on"] is True
    mine = [line for line in await trail() if HAIKU in line]
    assert [line.split(" | ")[2].split(" (")[0] for line in mine] == ["on → off", "off → on"]
    assert all(MANAGEMENT_API in line and "by the key deploy" in line for line in mine)


async def test_a_price_is_set_and_used_at_once(manager: Manager) -> None:
    sent = {"provider": "claude", "model": "claude-haiku-5-5", "input": 7, "output": 9}
    made = await manager("POST", "prices", sent)
    assert made.status_code == 201, made.text
    assert (await manager("GET", f"models/{HAIKU}")).json()["input_price"] == 7
    number = made.json()["id"]
    assert (await manager("DELETE", f"prices/{number}")).status_code == 409
    assert (await manager("PATCH", f"prices/{number}", {"input": 1})).json()["errors"]["input"]
    today = timezone.now().date().isoformat()
    assert (await manager("PATCH", f"prices/{number}", {"valid_until": today})).status_code == 200
    unknown = await manager("POST", "prices", {**sent, "model": "none"})
    assert unknown.json()["errors"] == {"model": ["The catalogue has no claude/none."]}


async def test_a_lever_is_changed_with_its_history(manager: Manager) -> None:
    changed = await manager("PATCH", "levers/effort", {"mode": "prove", "control_share": 0.2})
    assert changed.json()["mode"] == "prove"
    assert get_services().levers.mode("effort") == "prove"
    assert (await manager("PATCH", "levers/effort", {"mode": "maybe"})).json()["errors"]["mode"]
    wrong = await manager("PATCH", "levers/effort", {"options": {"level": 7}})
    assert wrong.json()["errors"]["options"]
    who = [change.who async for change in LeverChange.objects.all()]
    assert len(who) == 1
    assert who[0].startswith(f"{MANAGEMENT_API} (by the key deploy")


async def test_a_rule_is_created_changed_and_deleted(manager: Manager) -> None:
    sent = {
        "name": "cheap", "tags": ["batch"], "action": "force",
        "model_names": ["claude-haiku-*"], "enabled": True,
    }  # fmt: skip
    made = await manager("POST", "rules", sent)
    assert made.status_code == 201, made.text
    assert [rule.name for rule in get_services().rules.rules] == ["cheap"]
    number = made.json()["id"]
    wrong = await manager("PATCH", f"rules/{number}", {"tiers": ["huge"]})
    assert "tiers" in wrong.json()["errors"]
    assert (await manager("PATCH", f"rules/{number}", {"enabled": False})).status_code == 200
    assert not get_services().rules.rules
    assert (await manager("DELETE", f"rules/{number}")).status_code == 204
    assert await RuleChange.objects.acount() == 3


async def test_a_budget_is_opened_and_changed(manager: Manager) -> None:
    sent = {"name": "ann a day", "scope": "user", "subject": "ann", "period": "day", "limit": 5}
    made = await manager("POST", "budgets", sent)
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    assert (await manager("PATCH", f"budgets/{number}", {"limit": 7.5})).json()["limit"] == 7.5
    fixed = await manager("PATCH", f"budgets/{number}", {"period": "month"})
    assert fixed.json()["errors"]["period"]
    again = await manager("POST", "budgets", sent)
    assert again.json()["errors"]["name"]
    assert any("limit: 5" in line and "→ 7.5" in line for line in await trail())


async def test_a_key_is_made_rotated_and_revoked(
    manager: Manager, client: httpx.AsyncClient
) -> None:
    made = await manager("POST", "keys", {"name": "ann", "user": "ann"})
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    secret, number = made.json()["secret"], made.json()["id"]
    assert made.json()["scopes"] == ["complete", "feedback"]
    assert "secret" not in (await manager("GET", f"keys/{number}")).json()
    successor = (await manager("POST", f"keys/{number}/rotate", {"hours": 1})).json()
    assert successor["name"] == "ann"
    assert successor["secret"] != secret
    revoked = await manager("POST", f"keys/{number}/revoke")
    assert revoked.json()["revoked_at"]
    assert (await manager("POST", f"keys/{number}/rotate")).status_code == 409
    await sync_to_async(get_services().api_keys.refresh)()
    prompt = {"prompt": "Hi"}
    for key, status in ((secret, 401), (successor["secret"], 200)):
        headers = {"authorization": f"Bearer {key}"}
        answer = await client.post("/complete", json=prompt, headers=headers)
        assert answer.status_code == status
    assert secret not in str(await trail())


async def test_a_key_gives_no_scope_that_it_lacks(client: httpx.AsyncClient) -> None:
    strong = await bearer(*MANAGE_SCOPES, "read", name="strong")
    manage = Manager(client, await bearer("manage:keys", "manage:read", name="weak"))
    for scopes in (["manage:providers"], ["read"], ["complete", "manage:budgets"]):
        refused = await manage("POST", "keys", {"name": "mine", "scopes": scopes})
        assert refused.status_code == 403, scopes
    number = (await ApiKey.objects.aget(name="strong")).pk
    assert (await manage("POST", f"keys/{number}/rotate")).status_code == 403
    assert (await manage("PATCH", f"keys/{number}", {"user": "me"})).status_code == 403
    assert (await Manager(client, strong)("GET", "keys")).json()["data"][0]["name"]
    made = await manage("POST", "keys", {"name": "mine", "scopes": ["complete", "manage:keys"]})
    assert made.status_code == 201


async def test_unknown_fields_and_pages(manager: Manager) -> None:
    wrong = await manager("POST", "budgets", {"name": "x", "limit": 5, "limits": 6})
    assert "limits" in wrong.json()["errors"]
    for number in range(3):
        await manager("POST", "budgets", {"name": f"b{number}", "limit": 5})
    page = (await manager("GET", "budgets?limit=2")).json()
    assert [row["name"] for row in page["data"]] == ["b0", "b1"]
    assert page["has_more"]
    rest = (await manager("GET", f"budgets?after={page['data'][-1]['id']}")).json()
    assert [row["name"] for row in rest["data"]] == ["b2"]
    assert (await manager("GET", "budgets?limit=0")).status_code == 400
    assert (await manager("GET", "budgets/999")).status_code == 404


async def test_settings_of_judge_guarantee_and_baseline(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BASELINE_MODEL")
    services = get_services()
    changed = await manager(
        "PATCH",
        "settings",
        {"judge_model": "claude-opus-5-5", "judge_rate": 0.5, "guarantee_reference": OPUS,
         "baseline_model": HAIKU},
    )  # fmt: skip
    assert changed.status_code == 200, changed.text
    shown = {row["name"]: row for row in changed.json()["data"]}
    assert shown["judge_rate"] == {**shown["judge_rate"], "value": 0.5, "set_from": "operator"}
    guarantee = services.guarantee.guarantee()
    assert guarantee is not None
    assert str(guarantee.reference) == OPUS
    assert str(services.baselines.default) == HAIKU
    assert services.quality.judging.watchers.judge is not None
    cleared = {"judge_model": None, "guarantee_reference": None, "baseline_model": "complexity"}
    assert (await manager("PATCH", "settings", cleared)).status_code == 200
    assert services.guarantee.guarantee() is None
    assert services.baselines.complexity
    assert services.quality.judging.watchers.judge is None
    assert any("JUDGE_RATE: default → '0.5'" in line for line in await trail())


async def test_wrong_settings_change_nothing(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BASELINE_MODEL")
    for wrong in (
        {"judge_rate": 2}, {"judge_model": "nope"}, {"guarantee_reference": "gpt-6"},
        {"guarantee_tolerance": 0}, {"baseline_model": "nope"}, {"judge_daily_budget": -1},
    ):  # fmt: skip
        refused = await manager("PATCH", "settings", {"guarantee_confidence": 0.9, **wrong})
        assert refused.status_code == 400, wrong
        assert list(refused.json()["errors"]) == list(wrong)
    monkeypatch.setenv("JUDGE_RATE", "0.01")
    won = await manager("PATCH", "settings", {"judge_rate": 0.5})
    assert won.status_code == 409
    assert "JUDGE_RATE" in won.json()["detail"]
    shown = {row["name"]: row for row in (await manager("GET", "settings")).json()["data"]}
    assert shown["judge_rate"]["set_by"] == "JUDGE_RATE"
    assert shown["guarantee_confidence"]["set_from"] == "default"


def test_a_list_of_keys_names_their_teams_in_one_query(django_assert_num_queries: Any) -> None:
    for name in ("red", "blue", "green"):
        team = Team.objects.create(name=name)
        project = Project.objects.create(name=f"of {name}", team=team)
        key_make(ApiKey(name=name, team=team, project=project))
    listed = ManagedKeysViewSet.as_view({"get": "list"})
    with django_assert_num_queries(1):
        answer = listed(APIRequestFactory().get("/"))
    assert [key["team"] for key in answer.data["data"]] == ["red", "blue", "green"]


async def test_all_levers_are_read_together(start: Start) -> None:
    await start()

    @sync_to_async
    def queries() -> int:
        listed = ManagedLeversViewSet.as_view({"get": "list"})
        with CaptureQueriesContext(connection) as captured:
            answer = listed(APIRequestFactory().get("/"))
        assert len(answer.data["data"]) == len(LEVERS)
        return len(captured)

    assert await queries() <= 3


async def test_an_empty_change_is_refused(manager: Manager) -> None:
    made = await manager("POST", "budgets", {"name": "all", "limit": 5})
    for path in (f"budgets/{made.json()['id']}", "settings", "levers/effort", f"models/{HAIKU}"):
        for body in ({}, None):
            refused = await manager("PATCH", path, body)
            assert refused.status_code == 400, path
            assert list(refused.json()["errors"]) == ["body"]


def test_the_document_says_that_a_list_is_an_object_with_data() -> None:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    lists = [
        operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        for path, operations in paths.items()
        if "/manage/" in path and operations.get("get", {}).get("operationId", "").endswith("_list")
    ]
    assert len(lists) >= 12
    assert all("$ref" in schema for schema in lists), lists
