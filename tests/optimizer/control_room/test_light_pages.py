"""Pages of the admin stay light: no script in vain, no query a row, slow parts come later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analytics.access.keys import key_make
from analytics.models import (
    Alert,
    AlertRule,
    ApiKey,
    AutopilotPair,
    AutopilotTrial,
    AutopilotUse,
    Notification,
    NotificationChannel,
    Project,
    ProviderStatementLine,
    Team,
)
from tests.factories import ComparisonFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).date()


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as found:
        assert client.get(address).status_code == 200
    return len(found)


@pytest.mark.parametrize("table", ["analytics_requestrecord", "analytics_project", "auth_user"])
def test_a_list_sends_no_script_that_fills_slugs(admin_client: Client, table: str) -> None:
    page = admin_client.get(reverse(f"admin:{table}_changelist")).content.decode()
    assert "admin/js/core.js" in page
    for name in ("xregexp", "urlify", "prepopulate.js"):
        assert name not in page


def test_charts_come_with_the_page_of_a_key_alone(admin_client: Client) -> None:
    key = key_make(ApiKey(name="deploy"))
    listed = admin_client.get(reverse("admin:analytics_apikey_changelist")).content.decode()
    assert "chartjs/chart.js" not in listed
    page = admin_client.get(reverse("admin:analytics_apikey_change", args=[key.key.pk]))
    for script in ("chartjs/chart.js", "control_room/spend_chart.js", "analytics/burn_down.js"):
        assert script in page.content.decode()


def test_many_projects_take_as_many_queries_as_one(admin_client: Client) -> None:
    listed = reverse("admin:analytics_project_changelist")
    Project.objects.create(name="first", team=Team.objects.create(name="the first team"))
    one = queries(admin_client, listed)
    for n in range(5):
        Project.objects.create(name=f"p{n}", team=Team.objects.create(name=f"t{n}"))
    assert queries(admin_client, listed) == one


def test_many_trials_take_as_many_queries_as_one(admin_client: Client) -> None:
    def trial_make(n: int) -> None:
        trial = AutopilotTrial.objects.create(
            provider="openai", model=f"m{n}", tier="simple", state="rejected"
        )
        pair = ComparisonFactory(source="autopilot")
        AutopilotPair.objects.create(comparison=pair, trial=trial, unit=str(n), score=0.9, saved=1)
        AutopilotUse.objects.create(trial=trial, day=TODAY, allowed=9, taken=3)

    page = reverse("admin:autopilot")
    trial_make(0)
    one = queries(admin_client, page)
    for n in range(1, 5):
        trial_make(n)
    assert queries(admin_client, page) == one
    assert "openai/m4" in admin_client.get(page).content.decode()


def test_deleting_an_alert_names_its_messages_without_a_query_each(admin_client: Client) -> None:
    rule = AlertRule.objects.create(name="dear", limit=1)
    channel = NotificationChannel.objects.create(name="ops", kind="email", emails="a@example.com")
    alert = Alert.objects.create(rule=rule, period_start=TODAY, value=2, text="It is dear.")
    page = reverse("admin:analytics_alertrule_delete", args=[rule.pk])
    Notification.objects.create(alert=alert, event="raised", channel=channel)
    one = queries(admin_client, page)
    Notification.objects.create(alert=alert, event="resolved", channel=channel)
    assert queries(admin_client, page) == one


class TestInvoices:
    """Each provider's statement is matched with the ledger once the page is there."""

    @pytest.fixture(autouse=True)
    def _stated(self) -> None:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        RequestRecordFactory(created_at=yesterday, provider="claude", cost=Decimal("1.5"))
        for provider, amount in (("claude", "1.75"), ("openai", "3")):
            ProviderStatementLine.objects.create(
                provider=provider, source="api", day=yesterday.date(), amount=Decimal(amount),
                model="claude-haiku-5-5", places=2,
            )  # fmt: skip

    def test_the_page_leads_to_each(self, admin_client: Client) -> None:
        page = admin_client.get("/admin/invoices/").content.decode()
        for provider in ("claude", "openai"):
            assert f'data-from="/admin/invoices/provider?provider={provider}"' in page
        assert "1.75" not in page
        month = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m}"
        page = admin_client.get("/admin/invoices/", {"month": month}).content.decode()
        assert f"?month={month}&amp;provider=claude" in page

    def test_one_is_matched_alone_and_all_in_the_page_itself(self, admin_client: Client) -> None:
        part = admin_client.get("/admin/invoices/provider", {"provider": "claude"})
        assert "1.75" in part.content.decode()
        assert "openai" not in part.content.decode()
        whole = admin_client.get("/admin/invoices/", {"whole": "1"}).content.decode()
        assert "1.75" in whole
        assert "data-from" not in whole

    def test_nothing_is_stated_by_another(self, admin_client: Client) -> None:
        assert admin_client.get("/admin/invoices/provider?provider=x").status_code == 404

    def test_strangers_do_not_see_it(self) -> None:
        stranger = Client()
        stranger.force_login(User.objects.create_user("clerk", is_staff=True))
        assert stranger.get("/admin/invoices/provider?provider=claude").status_code == 403
