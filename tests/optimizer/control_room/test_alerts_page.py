"""The page of alerts: states, test, mute; and the secrets that it does not show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analytics.alerts.outbox import notifications_add
from analytics.encryption import decrypt
from analytics.models import (
    AlertRule,
    Budget,
    Digest,
    Notification,
    NotificationChannel,
)

pytestmark = pytest.mark.django_db
SECRET = "https://hooks.slack.com/services/T0/B0/verysecretaddress"
NOW = datetime.now(UTC)


@pytest.fixture
def viewer() -> Client:
    client = Client()
    user = User.objects.create_user("vera", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name="viewer"))
    client.force_login(user)
    return client


def rule(name: str = "cap", **fields: object) -> AlertRule:
    return AlertRule.objects.create(
        **{"name": name, "limit": 1, "emails": "a@example.com", **fields}
    )


def page(client: Client) -> str:
    return client.get(reverse("admin:alerts")).content.decode()


def test_an_empty_page_offers_the_first_step(admin_client: Client) -> None:
    text = page(admin_client)
    assert "Nothing is watched yet." in text
    assert "?metric=unusual&amp;limit=1" in text
    form = admin_client.get(reverse("admin:analytics_alertrule_add") + "?metric=errors&limit=5")
    assert form.context["adminform"].form["metric"].value() == "errors"


def test_states_history_and_few_queries(admin_client: Client) -> None:
    firing = rule("firing")
    firing.alerts.create(period_start=NOW.date(), value=2, text="firing: spent $2.")
    rule("quiet", muted_until=NOW + timedelta(hours=1))
    rule("off", enabled=False)
    channel = NotificationChannel.objects.create(name="ops", kind="slack", address=SECRET)
    for number in range(8):
        one = rule(f"rule {number}", last_text="spent $0.00")
        one.channels.add(channel)
    Digest.objects.create(name="Weekly", emails="b@example.com")
    alert = firing.alerts.get()
    (row,) = notifications_add(firing, "raised", alert=alert)
    Notification.objects.filter(pk=row.pk).update(error="HTTP 500")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        text = page(admin_client)
    assert len(queries) <= 15
    states = [
        line.partition(">")[2].partition("<")[0].split(" until")[0]
        for line in text.splitlines()
        if 'class="state' in line
    ]
    assert sorted(states) == sorted(["firing", "muted", "off", *["ok"] * 8])
    assert "firing: spent $2." in text
    assert "1 notification</a> could not be delivered" in text
    assert "https://hooks.slack.com/…ress" in text
    assert "verysecret" not in text


def test_a_test_reaches_everybody_or_says_why_not(admin_client: Client, settings: object) -> None:
    channel = NotificationChannel.objects.create(
        name="mail", kind="email", emails="ops@example.com"
    )
    one = rule()
    one.channels.add(channel)
    address = reverse("admin:alert_test", args=[one.pk])
    assert admin_client.get(address).status_code == 405
    text = admin_client.post(address, follow=True).content.decode()
    assert "The test of cap was sent." in text
    assert [message.to for message in mail.outbox] == [["ops@example.com"], ["a@example.com"]]
    hook = NotificationChannel.objects.create(
        name="hook", kind="webhook", address="http://127.0.0.1:9/secretpath"
    )
    address = reverse("admin:channel_test", args=[hook.pk])
    text = admin_client.post(address, follow=True).content.decode()
    assert "The test of hook failed: hook: ConnectError." in text
    assert "secretpath" not in text
    digest = Digest.objects.create(name="Weekly")
    text = admin_client.post(
        reverse("admin:digest_test", args=[digest.pk]), follow=True
    ).content.decode()
    assert "there is nobody to notify" in text
    assert not Notification.objects.exists()


def test_mute_and_unmute(admin_client: Client) -> None:
    one = rule()
    address = reverse("admin:alert_mute", args=[one.pk])
    admin_client.post(address, {"hours": "8"})
    one.refresh_from_db()
    assert timedelta(hours=7) < one.muted_until - NOW < timedelta(hours=9)
    assert (
        "Choose for how long."
        in admin_client.post(address, {"hours": "9999999"}, follow=True).content.decode()
    )
    admin_client.post(address)
    one.refresh_from_db()
    assert one.muted_until is None


def test_who_may_only_look_changes_nothing(viewer: Client) -> None:
    one = rule(webhook=SECRET)
    channel = NotificationChannel.objects.create(name="ops", kind="slack", address=SECRET)
    digest = Digest.objects.create(name="Weekly", webhook=SECRET)
    budget = Budget.objects.create(name="All", limit=1, webhook=SECRET)
    assert "Mute" not in page(viewer)
    for name, row in (
        ("alert_test", one), ("alert_mute", one), ("channel_test", channel),
        ("digest_test", digest),
    ):  # fmt: skip
        assert viewer.post(reverse(f"admin:{name}", args=[row.pk])).status_code == 403
    for name, row in (
        ("alertrule", one), ("notificationchannel", channel), ("digest", digest),
        ("budget", budget),
    ):  # fmt: skip
        shown = viewer.get(reverse(f"admin:analytics_{name}_change", args=[row.pk]))
        text = shown.content.decode()
        assert "hooks.slack.com/…ress" in text, name
        assert "verysecret" not in text, name
    assert not mail.outbox


def test_strangers_see_nothing() -> None:
    for name in ("alerts", "statements", "statements_export"):
        assert Client().get(reverse(f"admin:{name}")).status_code == 302


class TestSecrets:
    def form(self, **fields: str) -> dict[str, str]:
        return {"name": "ops", "enabled": "on", "kind": "slack", "emails": "", **fields}

    def test_an_address_is_masked_kept_replaced_and_encrypted(
        self, admin_client: Client, settings: object
    ) -> None:
        settings.ENCRYPTION_KEYS = ["x" * 43 + "="]
        add = reverse("admin:analytics_notificationchannel_add")
        assert admin_client.post(add, self.form(address=SECRET)).status_code == 302
        channel = NotificationChannel.objects.get()
        assert channel.address == SECRET
        with connection.cursor() as cursor:
            cursor.execute("SELECT address FROM notification_channels")
            (stored,) = cursor.fetchone()
        assert "slack" not in stored
        assert decrypt(stored) == SECRET
        change = reverse("admin:analytics_notificationchannel_change", args=[channel.pk])
        shown = admin_client.get(change)
        assert "verysecret" not in shown.content.decode()
        mask = shown.context["adminform"].form["address"].value()
        assert mask == "https://hooks.slack.com/…ress"
        assert admin_client.post(change, self.form(name="b", address=mask)).status_code == 302
        channel.refresh_from_db()
        assert (channel.name, channel.address) == ("b", SECRET)
        admin_client.post(change, self.form(address="https://x.test/other-secret"))
        channel.refresh_from_db()
        assert channel.address == "https://x.test/other-secret"

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"address": ""}, "Give the webhook&#x27;s address."),
            ({"address": "http://x.test/a"}, "Enter an https:// address."),
            ({"address": "ftp://x", "kind": "webhook"}, "Enter a valid URL."),
            ({"kind": "email"}, "at least one e-mail address"),
            ({"kind": "email", "emails": "nobody"}, "is not an e-mail address"),
            ({"address": SECRET, "emails": "a@example.com"}, "Only a channel of the kind e-mail"),
        ],
    )
    def test_mistakes_are_named(
        self, admin_client: Client, fields: dict[str, str], error: str
    ) -> None:
        add = reverse("admin:analytics_notificationchannel_add")
        assert error in admin_client.post(add, self.form(**fields)).content.decode()

    def test_an_address_without_its_key_is_not_overwritten(
        self, admin_client: Client, settings: object
    ) -> None:
        settings.ENCRYPTION_KEYS = ["x" * 43 + "="]
        channel = NotificationChannel.objects.create(name="ops", kind="slack", address=SECRET)
        settings.ENCRYPTION_KEYS = []
        change = reverse("admin:analytics_notificationchannel_change", args=[channel.pk])
        shown = admin_client.get(change).context["adminform"].form["address"].value()
        answer = admin_client.post(change, self.form(address=shown))
        assert "Enter it again." in answer.content.decode()
        settings.ENCRYPTION_KEYS = ["x" * 43 + "="]
        channel.refresh_from_db()
        assert channel.address == SECRET

    def test_an_emptied_address_is_removed(self, admin_client: Client) -> None:
        one = rule(webhook=SECRET)
        change = reverse("admin:analytics_alertrule_change", args=[one.pk])
        form = {
            "name": "cap", "enabled": "on", "metric": "spend", "limit": "10", "period": "day",
            "window_minutes": "15", "emails": "a@example.com", "webhook": "",
            "muted_until_0": "", "muted_until_1": "",
        }  # fmt: skip
        assert admin_client.post(change, form).status_code == 302
        one.refresh_from_db()
        assert one.webhook == ""
