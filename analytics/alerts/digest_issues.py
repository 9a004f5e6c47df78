"""When digests are due, in their own time zones; each is made once a period."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from analytics.alerts.digest_content import digest_message
from analytics.alerts.outbox import notifications_add
from analytics.models import Digest, DigestIssue, Notification


@dataclass(frozen=True, slots=True)
class DigestPeriod:
    """A week or month that is over, in a time zone.

    ``first`` is its first day there. ``before``, ``since`` and ``until`` are the moments (UTC) at
    which the period before it and it itself begin, and at which it ends; ``due_at`` is when its
    digest is sent.
    """

    first: date
    before: datetime
    since: datetime
    until: datetime
    due_at: datetime

    @classmethod
    def latest(cls, digest: Digest, now: datetime) -> DigestPeriod:
        """Return the latest period of ``digest`` that is over at ``now``."""
        zone = zoneinfo.ZoneInfo(digest.time_zone)
        today = now.astimezone(zone).date()
        if digest.period == Digest.Period.WEEK:
            end = today - timedelta(days=today.weekday())
            first, earlier = end - timedelta(days=7), end - timedelta(days=14)
        else:
            end = today.replace(day=1)
            first = (end - timedelta(days=1)).replace(day=1)
            earlier = (first - timedelta(days=1)).replace(day=1)
        # Local midnights, not steps of 24 hours: a week with a change of the clock is longer.
        before, since, until = (_at(day, 0, zone) for day in (earlier, first, end))
        return cls(first, before, since, until, _at(end, digest.hour, zone))


def digests_issue(now: datetime | None = None) -> list[DigestIssue]:
    """Make the digests that are due, with their notifications; return the new ones.

    A digest that was created after its time is made for the next period first. Whatever number of
    workers looks at the same time, each period gets one digest. A digest that cannot be made keeps
    no other one back; then an ``ExceptionGroup`` is raised at the end.
    """
    now = now or timezone.now()
    made: list[DigestIssue] = []
    errors: list[Exception] = []
    for digest in Digest.objects.filter(enabled=True):
        try:
            issue = _issue(digest, now)
        except Exception as error:  # noqa: BLE001 - raised below, once the others were made
            error.add_note(f"of the digest {digest.pk}")
            errors.append(error)
        else:
            made += [issue] if issue else []
    if errors:
        raise ExceptionGroup("digests cannot be made", errors)
    return made


def _issue(digest: Digest, now: datetime) -> DigestIssue | None:
    period = DigestPeriod.latest(digest, now)
    if now < period.due_at or digest.created_at > period.due_at:
        return None
    if digest.issues.filter(period_start=period.first).exists():
        return None
    message = digest_message(digest, period.before, period.since, period.until, now)
    issue = DigestIssue(
        digest=digest, period_start=period.first, made_at=now, content=message.as_json()
    )
    try:
        with transaction.atomic():
            issue.save(force_insert=True)
            notifications_add(digest, Notification.Event.DIGEST, issue=issue)
    except IntegrityError:
        return None
    return issue


def _at(day: date, hour: int, zone: zoneinfo.ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC)
