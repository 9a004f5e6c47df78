"""Alerts, channels, digests, key templates, shadow evaluation and autopilot by the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from analytics.access.own_keys import own_key_make
from analytics.models import Alert, AlertRule, Budget, Developer, KeyTemplate, NotificationChannel
from optimizer.wiring.build import get_services
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.optimizer.api.manage.test_management_api import Manager, bearer, trail

pytestmark = pytest.mark.django_db(transaction=True)

HOOK = "https://hooks.slack.com/services/T0/B0/a-very-secret-part-k3Wq"
ERRORS = {"name": "Failed", "metric": "errors", "limit": 5, "team": "red"}


@pytest.fixture
async def manager(client: httpx.AsyncClient) -> Manager:
    scopes = ("manage:read", "manage:alerts", "manage:keys", "manage:policies", "manage:budgets")
    return Manager(client, await bearer(*scopes))


async def channel(manager: Manager) -> int:
    made = await manager("POST", "channels", {"name": "#costs", "kind": "slack", "address": HOOK})
    assert made.status_code == 201, made.text
    number: int = made.json()["id"]
    return number


async def test_a_channels_address_is_stored_and_never_shown(manager: Manager) -> None:
    number = await channel(manager)
    shown = await manager("GET", f"channels/{number}")
    assert shown.json()["address"] == "https://hooks.slack.com/…k3Wq"
    changed = await manager("PATCH", f"channels/{number}", {"enabled": False})
    assert changed.status_code == 200
    stored = await NotificationChannel.objects.aget(pk=number)
    assert (stored.address, stored.enabled) == (HOOK, False)
    for wrong, field in (
        ({"address": "hooks"}, "address"), ({"address": "http://h.example/x"}, "address"),
        ({"emails": "a@example.org"}, "emails"), ({"kind": "fax"}, "kind"),
        ({"kind": "email", "address": ""}, "emails"), ({"token": "x"}, "token"),
    ):  # fmt: skip
        refused = await manager("PATCH", f"channels/{number}", wrong)
        assert refused.status_code == 400, wrong
        assert list(refused.json()["errors"]) == [field]
    twice = await manager("POST", "channels", {"name": "#costs", "kind": "slack", "address": HOOK})
    assert twice.json()["errors"]["name"]
    assert (await manager("DELETE", f"channels/{number}")).status_code == 204
    assert (await manager("GET", f"channels/{number}")).status_code == 404
    words = str(await trail())
    assert "a-very-secret-part" not in words
    assert "enabled: True → False" in words


async def test_an_alert_is_made_muted_and_tells_its_state(manager: Manager) -> None:
    await channel(manager)
    nobody = await manager("POST", "alerts", ERRORS)
    assert list(nobody.json()["errors"]) == ["channels"]
    made = await manager("POST", "alerts", {**ERRORS, "channels": ["#costs"]})
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    assert made.json()["channels"] == ["#costs"]
    assert not made.json()["firing"]
    rule = await AlertRule.objects.aget()
    await Alert.objects.acreate(
        rule=rule, period_start=timezone.now().date(), value=9, text="9 % failed"
    )
    (listed,) = (await manager("GET", "alerts")).json()["data"]
    assert listed["firing"]
    muted = await manager("POST", f"alerts/{number}/mute", {"hours": 8})
    until = (await AlertRule.objects.aget()).muted_until
    assert until is not None
    assert 7.9 < (until - timezone.now()).total_seconds() / 3600 <= 8
    assert muted.json()["muted_until"]
    assert (await manager("POST", f"alerts/{number}/unmute")).json()["muted_until"] is None
    for body in ({}, {"hours": 0}, {"hours": "8"}):
        refused = await manager("POST", f"alerts/{number}/mute", body)
        assert list(refused.json()["errors"]) == ["hours"]
    for wrong, field in (
        ({"limit": 101}, "limit"), ({"metric": "luck"}, "metric"),
        ({"window_minutes": 1}, "window_minutes"), ({"channels": ["none"]}, "channels"),
        ({"channels": []}, "channels"), ({"model": "haiku"}, "model"),
        ({"metric": "circuit"}, "body"), ({"webhook": "nowhere"}, "webhook"),
    ):  # fmt: skip
        refused = await manager("PATCH", f"alerts/{number}", wrong)
        assert refused.status_code == 400, wrong
        assert list(refused.json()["errors"]) == [field], wrong
    assert (await manager("PATCH", f"alerts/{number}", {"limit": 7.5})).json()["limit"] == 7.5
    assert (await manager("DELETE", f"alerts/{number}")).status_code == 204
    words = str(await trail())
    assert "muted for 8 hours" in words
    assert "limit: 5" in words


async def test_a_test_arrives_or_says_where_it_did_not(manager: Manager) -> None:
    def wire(asked: Asked) -> Reply:
        return Reply({"ok": True}, 200 if "good" in asked.path else 500)

    async with FakeProvider(wire) as hook:
        made = {}
        for name in ("good", "bad"):
            sent = {"name": name, "kind": "webhook", "address": f"{hook.url}/{name}"}
            made[name] = (await manager("POST", "channels", sent)).json()["id"]
        good = await manager("POST", f"channels/{made['good']}/test")
        assert good.json() == {"sent": True, "errors": []}
        digest = await manager(
            "POST", "digests",
            {"name": "Weekly", "channels": ["good", "bad"], "time_zone": "Europe/Berlin"},
        )  # fmt: skip
        assert digest.status_code == 201, digest.text
        result = (await manager("POST", f"digests/{digest.json()['id']}/test")).json()
        assert not result["sent"]
        assert len(result["errors"]) == 1
        assert result["errors"][0].startswith("bad: ")
    wrong = {"time_zone": "Berlin", "scope": "team"}
    refused = await manager("PATCH", f"digests/{digest.json()['id']}", wrong)
    assert list(refused.json()["errors"]) == ["subject"]
    assert (await manager("DELETE", f"digests/{digest.json()['id']}")).status_code == 204


async def test_a_budget_notifies_a_channel(manager: Manager) -> None:
    await channel(manager)
    made = await manager(
        "POST", "budgets", {"name": "all", "limit": 5, "soft_limit": 4, "channels": ["#costs"]}
    )
    assert made.status_code == 201, made.text
    assert made.json()["channels"] == ["#costs"]
    number = made.json()["id"]
    assert (await manager("PATCH", f"budgets/{number}", {"limit": 6})).json()["channels"]
    none = await manager("PATCH", f"budgets/{number}", {"channels": []})
    assert none.json()["channels"] == []


async def test_a_template_changes_what_its_developers_may_spend(manager: Manager) -> None:
    sent = {"name": "usual", "budget": 5, "period": "day", "model_names": ["claude-*"], "days": 30,
            "residency": ["eu"]}  # fmt: skip
    made = await manager("POST", "key-templates", sent)
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    template = await KeyTemplate.objects.aget()
    ann = await Developer.objects.acreate(name="ann", template=template)
    made_key = await sync_to_async(own_key_make)(ann, label="laptop")
    assert made_key.key.residency == ["eu"]
    assert (await manager("PATCH", f"key-templates/{number}", {"budget": 7})).status_code == 200
    assert (await Budget.objects.aget()).limit == Decimal(7)
    for wrong, field in (
        ({"most_keys": 0}, "most_keys"), ({"budget": -1}, "budget"), ({"team": "none"}, "team"),
        ({"period": "year"}, "period"), ({"scopes": ["read"]}, "scopes"),
        ({"residency": ["E U"]}, "residency"),
    ):  # fmt: skip
        refused = await manager("PATCH", f"key-templates/{number}", wrong)
        assert refused.status_code == 400, wrong
        assert list(refused.json()["errors"]) == [field]
    assert (await manager("DELETE", f"key-templates/{number}")).status_code == 405
    assert await LogEntry.objects.filter(object_repr="usual").acount() == 2


async def test_shadow_evaluation_is_set_while_the_service_runs(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    quality = get_services().quality
    alone = await manager("PATCH", "settings", {"shadow_rate": 0.1})
    assert list(alone.json()["errors"]) == ["shadow_rate"]
    both = {"shadow_rate": 0.1, "shadow_daily_budget": 3, "judge_model": "claude-opus-5-5"}
    changed = await manager("PATCH", "settings", both)
    assert changed.status_code == 200, changed.text
    shadow = quality.judging.watchers.shadow
    assert shadow is not None
    again = await manager("PATCH", "settings", {"shadow_rate": 0.2})
    assert again.status_code == 200
    assert quality.judging.watchers.shadow is not shadow
    monkeypatch.setenv("SHADOW_RATE", "0.3")
    won = await manager("PATCH", "settings", {"shadow_rate": 0.1})
    assert won.status_code == 409
    assert "SHADOW_RATE" in won.json()["detail"]
    monkeypatch.delenv("SHADOW_RATE")
    assert (await manager("PATCH", "settings", {"shadow_rate": None})).status_code == 200
    assert quality.judging.watchers.shadow is None


async def test_the_autopilot_is_switched_and_bounded(manager: Manager) -> None:
    assert (await manager("GET", "autopilot")).json()["on"] is False
    refused = await manager("PATCH", "autopilot", {"on": True})
    assert refused.status_code == 409
    assert "JUDGE_MODEL" in refused.json()["detail"]
    sent: dict[str, Any] = {"judge_model": "claude-opus-5-5", "autopilot_trial_days": 7}
    assert (await manager("PATCH", "settings", sent)).status_code == 200
    assert (await manager("PATCH", "autopilot", {"on": True})).json() == {
        "on": True, "obstacle": "",
    }  # fmt: skip
    assert get_services().quality.product.autopilot_trial_days == 7
    for wrong in (
        {"autopilot_trial_days": 1.5}, {"autopilot_share": 0}, {"autopilot_share": 0.6},
        {"autopilot_margin": 0.3}, {"autopilot_daily_points": -1}, {"shadow_margin": 0},
    ):  # fmt: skip
        reply = await manager("PATCH", "settings", wrong)
        assert list(reply.json()["errors"]) == list(wrong)
    reference = await manager("PATCH", "settings", {"guarantee_reference": "claude-opus-5-5"})
    assert list(reference.json()["errors"]) == ["guarantee_reference"]
    assert (await manager("PATCH", "autopilot", {"on": False})).json()["on"] is False
    assert any("switched off" in line for line in await trail())
