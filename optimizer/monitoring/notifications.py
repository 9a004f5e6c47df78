"""Sends what waits in the outbox: all places side by side, one place's messages in order."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from analytics.alerts.formats import mail_parts, slack_body, teams_body, webhook_json
from analytics.alerts.notice import Notice, Section
from analytics.alerts.outbox import (
    message_of,
    notification_record,
    notifications_claim,
    notifications_release,
    target_of,
)
from analytics.models import Notification, NotificationChannel
from analytics.models.notification_target import NotificationTarget
from optimizer.monitoring.webhook_calls import webhook_post
from optimizer.shared.webhook_client import WebhookClient

_SECONDS = 20.0
"""A pass ends after so long; what is left is sent by the next one."""
_MANY = 4
"""So many alerts that wait for people at one place are sent as one message."""
_MOST_LINES = 40
_PLACES_AT_ONCE = 16
_Kind = NotificationChannel.Kind
_Batches = list[tuple[list[Notification], Notice]]
"""Messages, each with the notifications that it stands for."""
_Results = list[tuple[Notification, str | None]]
"""Notifications with their errors; "" for those that arrived, ``None`` for those not tried."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where messages go: the kind decides the format. ``recipients`` are those of e-mail."""

    kind: str
    address: str = ""
    recipients: tuple[str, ...] = ()

    @property
    def is_for_people(self) -> bool:
        return self.kind != _Kind.WEBHOOK


def notifications_send() -> int:
    """Send what is due, and record what came of it; return how many messages arrived.

    Reads the database: not for the event loop. A place that fails once in a pass is not called
    again in it, so a place that hangs delays no other one.
    """
    ends_at = time.monotonic() + _SECONDS
    waiting: dict[_Place, list[Notification]] = defaultdict(list)
    for row in notifications_claim():
        waiting[_place_of(row)].append(row)
    prepared = [(place, _batches(place, rows)) for place, rows in waiting.items()]
    posts = [each for each in prepared if each[0].kind != _Kind.EMAIL]
    results = asyncio.run(_post_all(posts, ends_at)) if posts else []
    for place, batches in prepared:
        if place.kind == _Kind.EMAIL:
            results += _mail_all(place, batches, ends_at)
    notifications_release([row for row, error in results if error is None])
    for row, error in results:
        if error is not None:
            notification_record(row, error)
    return sum(1 for _, error in results if error == "")


def target_test(target: NotificationTarget, message: Notice) -> list[str]:
    """Send ``message`` to every place of ``target`` now; return the errors, each with its place."""
    places = [(str(channel), _place_of_channel(channel)) for channel in target.channels.all()]
    if target.webhook:
        places.append(("webhook", _Place(_Kind.WEBHOOK, target.webhook)))
    if target.recipients:
        places.append(("e-mail", _Place(_Kind.EMAIL, recipients=tuple(target.recipients))))
    if not places:
        return ["there is nobody to notify"]
    return _test(places, message)


def channel_test(channel: NotificationChannel, message: Notice) -> list[str]:
    """Send ``message`` to a channel now; return the error, if there is one."""
    return _test([(str(channel), _place_of_channel(channel))], message)


def _test(places: Sequence[tuple[str, _Place]], message: Notice) -> list[str]:
    async def post() -> list[str]:
        async with WebhookClient() as client:
            return await asyncio.gather(
                *(
                    webhook_post(client, place.address, _body(place, message), "test")
                    for _, place in places
                    if place.kind != _Kind.EMAIL
                )
            )

    posted = iter(asyncio.run(post()))
    errors = [
        (name, _mail(place, message) if place.kind == _Kind.EMAIL else next(posted))
        for name, place in places
    ]
    return [f"{name}: {error}" for name, error in errors if error]


async def _post_all(prepared: Sequence[tuple[_Place, _Batches]], ends_at: float) -> _Results:
    at_once = asyncio.Semaphore(_PLACES_AT_ONCE)

    async def one_place(client: WebhookClient, place: _Place, batches: _Batches) -> _Results:
        error: str | None = ""
        results: _Results = []
        async with at_once:
            for rows, message in batches:
                if not error:
                    error = None if time.monotonic() >= ends_at else ""
                if error == "":
                    # The id stays the same if it is sent again, so that receivers can tell.
                    error = await webhook_post(
                        client, place.address, _body(place, message), f"notification-{rows[0].pk}"
                    )
                results += [(row, error) for row in rows]
        return results

    async with WebhookClient() as client:
        done = await asyncio.gather(*(one_place(client, *each) for each in prepared))
    return [result for results in done for result in results]


def _mail_all(place: _Place, batches: _Batches, ends_at: float) -> _Results:
    results: _Results = []
    error: str | None = ""
    for rows, message in batches:
        if not error:
            error = None if time.monotonic() >= ends_at else ""
        if error == "":
            error = _mail(place, message)
        results += [(row, error) for row in rows]
    return results


def _batches(place: _Place, rows: Sequence[Notification]) -> _Batches:
    """Return the messages to send, each with the notifications that it stands for."""
    alerts = [row for row in rows if row.issue is None]
    if not place.is_for_people or len(alerts) < _MANY:
        return [([row], message_of(row)) for row in rows]
    single = [([row], message_of(row)) for row in rows if row.issue is not None]
    return [(alerts, _together([message_of(row) for row in alerts])), *single]


def _together(messages: Sequence[Notice]) -> Notice:
    lines = [message.text for message in messages[:_MOST_LINES]]
    if more := len(messages) - len(lines):
        lines.append(f"and {more} more, in the control room under Alerts.")
    count = len(messages)
    return Notice(f"{count} alerts", f"{count} alerts at once.", sections=[Section("All", lines)])


def _place_of(row: Notification) -> _Place:
    if row.channel is not None:
        return _place_of_channel(row.channel)
    target = target_of(row)
    if row.direct == Notification.Direct.EMAIL:
        return _Place(_Kind.EMAIL, recipients=tuple(target.recipients))
    return _Place(_Kind.WEBHOOK, target.webhook)


def _place_of_channel(channel: NotificationChannel) -> _Place:
    return _Place(channel.kind, channel.address, tuple(channel.recipients))


def _body(place: _Place, message: Notice) -> dict[str, Any]:
    if place.kind == _Kind.SLACK:
        return slack_body(message)
    if place.kind == _Kind.TEAMS:
        return teams_body(message)
    return webhook_json(message)


def _mail(place: _Place, message: Notice) -> str:
    if not place.recipients:
        return "no e-mail address"
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        return "EMAIL_URL is not set"
    subject, text, html = mail_parts(message)
    mail = EmailMultiAlternatives(
        f"[AI Cost Optimizer] {subject}", text, None, list(place.recipients)
    )
    mail.attach_alternative(html, "text/html")
    try:
        mail.send()
    except (OSError, ValueError) as error:  # of smtplib, of the network; a header that is refused
        return type(error).__name__
    return ""
