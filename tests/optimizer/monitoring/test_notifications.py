"""Notifications over real HTTP: places that hang, fail, redirect, or are not to be called."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.utils import timezone

from analytics.alerts.outbox import notification_record, notifications_add
from analytics.models import Alert, AlertRule, Notification, NotificationChannel
from analytics.models.notification_target import check_address
from optimizer.monitoring import notifications
from optimizer.monitoring.notifications import notifications_send
from optimizer.shared import webhook_client
from tests.fakes.certificates import certificate_of
from tests.optimizer.monitoring.conftest import Hook

pytestmark = pytest.mark.django_db
NAME = "hooks.company.test"


class Names:
    """A name server that answers for a name with the addresses, one answer after another."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *answers: str | tuple[str, ...], known: str = NAME
    ) -> None:
        self.asked = 0
        usual = socket.getaddrinfo

        def resolve(host: Any, port: Any, *more: Any, **options: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name != known:
                return usual(host, port, *more, **options)
            answer = answers[min(self.asked, len(answers) - 1)]
            self.asked += 1
            addresses = (answer,) if isinstance(answer, str) else answer
            return [place for one in addresses for place in usual(one, port, *more, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def tarpit() -> Iterator[str]:
    """A server that accepts, and sends a byte now and then, but never an answer."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip(client: socket.socket) -> None:
        with client:
            client.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while not stop.wait(0.05):
                try:
                    client.sendall(b"y")
                except OSError:
                    return

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    stop.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def channel(kind: str = "webhook", address: str = "", **fields: object) -> NotificationChannel:
    return NotificationChannel.objects.create(
        name=f"{kind} {NotificationChannel.objects.count()}", kind=kind, address=address, **fields
    )


def alerts(count: int, *channels: NotificationChannel) -> None:
    """Raise alerts that are to be sent to the channels."""
    for number in range(count):
        rule = AlertRule.objects.create(name=f"rule {Alert.objects.count()}", limit=1)
        rule.channels.add(*channels)
        alert = rule.alerts.create(
            period_start=datetime.now(UTC).date(), value=Decimal(2), text=f"alert {number}"
        )
        notifications_add(rule, "raised", alert=alert)


def test_a_place_that_hangs_delays_no_other_one(
    hook: Hook,
    tarpit: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_client, "_MOST_SECONDS", 0.3)
    alerts(10, channel(address=tarpit), channel(address=hook.url))
    began = time.monotonic()
    assert notifications_send() == 10
    # It was called once, not once for each of its ten messages.
    assert time.monotonic() - began < 5
    assert len(hook.told) == 10
    failed = Notification.objects.filter(delivered_at=None)
    assert failed.count() == 10
    assert set(failed.values_list("error", flat=True)) == {"no answer within 0 s"}


def test_an_address_that_cannot_be_called_keeps_no_other_message_back(
    hook: Hook,
) -> None:
    bad = ["http://127.0.0.1:99999/hook", "http://[::1]:70000/hook"]
    alerts(1, *(channel(address=address) for address in bad), channel(address=hook.url))

    assert notifications_send() == 1

    assert len(hook.told) == 1
    failed = Notification.objects.filter(delivered_at=None)
    assert set(failed.values_list("error", flat=True)) == {"The webhook is no URL."}
    for address in bad:
        with pytest.raises(ValidationError):
            check_address(address)


def test_a_hundred_alerts_at_once_are_one_message_for_people(hook: Hook) -> None:
    people = (channel("slack", hook.url), channel("teams", hook.url))
    alerts(100, channel(address=hook.url), *people, channel("email", emails="a@example.com"))
    assert notifications_send() == 400
    programs = [body for body in hook.told if "alert" in body]
    assert len(programs) == 100
    assert len(hook.told) == 102
    assert len(mail.outbox) == 1
    assert "100 alerts at once." in mail.outbox[0].body
    assert "and 60 more" in mail.outbox[0].body
    (html,) = mail.outbox[0].alternatives
    assert html[1] == "text/html"
    assert notifications_send() == 0


def test_it_is_repeated_with_growing_pauses_and_the_same_id(
    hook: Hook,
    settings: object,
) -> None:
    settings.WEBHOOK_SECRET = "s3cret"
    alerts(1, channel(address=hook.url))
    hook.status = 500
    pauses = []
    for _ in range(9):
        Notification.objects.update(due_at=timezone.now())
        notifications_send()
        row = Notification.objects.get()
        pauses.append(round((row.due_at - timezone.now()).total_seconds()))
    assert pauses[:3] == [60, 120, 240]
    assert pauses[-1] == 3600
    assert (row.attempts, row.error) == (9, "HTTP 500")
    hook.status = 200
    Notification.objects.update(due_at=timezone.now())
    assert notifications_send() == 1
    ids = {headers["webhook-id"] for headers in hook.headers}
    assert ids == {f"notification-{row.pk}"}
    headers, raw = hook.headers[-1], hook.raw[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    digest = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"


def test_after_a_week_it_is_given_up(hook: Hook) -> None:
    alerts(1, channel(address=hook.url))
    row = Notification.objects.get()
    notification_record(row, "HTTP 500", row.created_at + timedelta(days=6))
    assert row.due_at is not None
    notification_record(row, "HTTP 500", row.created_at + timedelta(days=7))
    assert row.due_at is None
    notifications_send()
    assert hook.told == []


def test_what_there_was_no_time_for_is_sent_by_the_next_pass(
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alerts(3, channel(address=hook.url))
    with monkeypatch.context() as patch:
        patch.setattr(notifications, "_SECONDS", -1.0)
        assert notifications_send() == 0
    assert Notification.objects.filter(attempts=0, error="").count() == 3
    assert notifications_send() == 3


class TestHosts:
    @pytest.mark.parametrize(
        "url",
        [
            "http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/", "http://100.100.100.200/", "http://0xa9fea9fe/",
            "http://2852039166/", "http://169.254.43518/",
            "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::]/", "http://168.63.129.16/",
        ],
    )  # fmt: skip
    def test_no_machine_s_credentials_are_asked_for(self, url: str) -> None:
        alerts(1, channel(address=url))
        assert notifications_send() == 0
        assert "own network" in Notification.objects.get().error

    def test_the_address_that_was_checked_is_called(
        self, hook: Hook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name server that says another address the second time leads nowhere else."""
        names = Names(monkeypatch, "127.0.0.1", "127.0.0.99")
        port = hook.server.server_port
        alerts(1, channel(address=f"http://{NAME}:{port}/hook"))
        assert notifications_send() == 1
        assert names.asked == 1
        assert [headers["host"] for headers in hook.headers] == [f"{NAME}:{port}"]

    def test_a_name_beyond_ascii_is_resolved_as_it_is_called(
        self, hook: Hook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Python's own reading makes "ss" of "ß", which is another's host."""
        names = Names(monkeypatch, "127.0.0.1", known="xn--strae-oqa.test")
        port = hook.server.server_port
        alerts(1, channel(address=f"http://straße.test:{port}/hook"))
        assert notifications_send() == 1
        assert names.asked == 1
        assert [headers["host"] for headers in hook.headers] == [f"xn--strae-oqa.test:{port}"]

    def test_the_next_address_is_called_where_nothing_listens(
        self, hook: Hook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Names(monkeypatch, ("127.0.0.99", "127.0.0.1"))
        alerts(1, channel(address=f"http://{NAME}:{hook.server.server_port}/hook"))
        assert notifications_send() == 1

    def test_one_forbidden_address_of_several_forbids_the_call(
        self, hook: Hook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Names(monkeypatch, ("127.0.0.1", "169.254.169.254"))
        alerts(1, channel(address=f"http://{NAME}:{hook.server.server_port}/hook"))
        assert notifications_send() == 0
        assert not hook.told

    @pytest.mark.parametrize("named", [NAME, "other.test"])
    def test_the_certificate_must_be_that_of_the_name(
        self, named: str, hook: Hook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = certificate_of(named, tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        seen: list[str | None] = []
        context.sni_callback = lambda _, name, __: seen.append(name)
        hook.server.socket = context.wrap_socket(hook.server.socket, server_side=True)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        Names(monkeypatch, "127.0.0.1")
        alerts(1, channel(address=f"https://{NAME}:{hook.server.server_port}/hook"))
        arrived = notifications_send()
        assert (arrived, seen) == (named == NAME, [NAME]), Notification.objects.get().error

    def test_only_the_listed_hosts_are_called(self, hook: Hook, settings: object) -> None:
        settings.ALERT_WEBHOOK_HOSTS = ["hooks.slack.com", hook.url.removesuffix("/hook")]
        alerts(1, channel(address=hook.url))
        assert notifications_send() == 1
        alerts(1, channel(address="http://127.0.0.1:9/hook"))
        assert notifications_send() == 0
        assert "ALERT_WEBHOOK_HOSTS" in Notification.objects.get(delivered_at=None).error

    def test_a_redirect_to_another_host_is_not_followed(self, hook: Hook) -> None:
        hook.status = 307
        alerts(1, channel("slack", hook.url))
        assert notifications_send() == 0
        assert Notification.objects.get().error == "HTTP 307"
        assert len(hook.told) == 1
