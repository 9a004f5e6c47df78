"""The audit trail: who changed what, in the admin and by command; nobody rewrites it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from analytics.access.audit import COMMAND_LINE
from analytics.models import ApiKey

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:admin_logentry_changelist")


def run(*args: str) -> None:
    call_command(*args, stdout=io.StringIO(), stderr=io.StringIO())


def trail() -> list[tuple[str, str, str]]:
    entries = LogEntry.objects.order_by("pk").select_related("user")
    return [(e.user.username, e.object_repr.split(" ")[0], e.change_message) for e in entries]


def test_what_commands_change_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ops")
    run("create_key", "ann")
    run("budgets", "add", "all", "--limit", "5")
    run("budgets", "change", "all", "--limit", "9")
    run("keys", "rotate", "ann")
    run("keys", "revoke", "ann")
    assert [(user, of) for user, of, _ in trail()] == [
        (COMMAND_LINE, name) for name in ("ann", "all", "all", "ann", "ann", "ann")
    ]
    words = [words for *_, words in trail()]
    assert words[1] == "everything: all: $5.00 a month (by ops)"
    assert words[2] == "all: $9.00 a month (by ops)"
    assert words[-1] == "revoked (by ops)"


def test_no_secret_is_in_it() -> None:
    out = io.StringIO()
    call_command("create_key", "ann", stdout=out, stderr=io.StringIO())
    secret = out.getvalue().strip()
    assert secret.startswith("aco_")
    assert secret not in str(trail())


def test_nobody_signs_in_as_the_command_line() -> None:
    run("create_key", "ann")
    user = User.objects.get(username=COMMAND_LINE)
    assert not user.is_active
    assert not user.has_usable_password()


def test_the_admin_shows_the_trail_and_lets_nobody_rewrite_it(admin_client: Client) -> None:
    admin_client.post(
        reverse("admin:analytics_budget_add"),
        {"name": "all", "scope": "everything", "period": "day", "time_zone": "UTC", "limit": "1",
         "at_limit": "refuse"},
    )  # fmt: skip
    run("create_key", "ann")
    shown = admin_client.get(PAGE).content.decode()
    assert "made by create_key" in shown
    assert "admin" in shown
    entry = LogEntry.objects.earliest("pk")
    for verb in ("change", "delete"):
        page = reverse(f"admin:admin_logentry_{verb}", args=[entry.pk])
        assert admin_client.post(page, {"post": "yes"}).status_code == 403
    # Deleting a user would take the trail with it.
    user = reverse("admin:auth_user_delete", args=[entry.user_id])
    assert admin_client.post(user, {"post": "yes"}).status_code == 403
    assert LogEntry.objects.filter(pk=entry.pk).exists()


def test_revoking_in_the_admin_is_in_it_too(admin_client: Client, admin_user: Any) -> None:
    run("create_key", "ann")
    key = ApiKey.objects.get()
    admin_client.post(
        reverse("admin:analytics_apikey_changelist"),
        {"action": "revoke_selected", "_selected_action": [key.pk]},
    )
    last = LogEntry.objects.latest("pk")
    assert (last.user, last.object_id) == (admin_user, str(key.pk))
    assert "revoked" in last.get_change_message()
