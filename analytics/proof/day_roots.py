"""Closes days: signs the root of each day's rows, linked to the root before it.

A day without rows has a root too, so that nobody can take a whole day away unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

from django.db import IntegrityError, transaction
from django.db.models import Max, Min

from analytics.ledger.seals import REMOVED, leaves_of, merkle_root
from analytics.models import LedgerDay, LedgerSeal
from analytics.proof.signing import public_text, signing_key

_SETTLES = timedelta(minutes=15)
"""After midnight, requests of the day before still end."""


def day_hash(day: LedgerDay) -> str:
    """Return the hash of a day's root that the next root names, and that is signed."""
    text = f"day-1\n{day.previous}\n{day.day}\n{day.revision}\n{day.rows}\n{day.root}\n"
    return sha256(text.encode()).hexdigest()


def days_close(now: datetime | None = None) -> list[LedgerDay]:
    """Sign the roots of all days that are over; return the new ones.

    Several workers may call this at the same time: each root is written once.
    """
    now = now or datetime.now(UTC)
    return days_sign((now - _SETTLES).date() - timedelta(days=1))


def days_sign(until: date, since: date | None = None) -> list[LedgerDay]:
    """Sign the roots of the days up to ``until`` whose seals have no root yet.

    Days without seals, from the first day of the ledger on, get the root of no rows.
    """
    sealed = LedgerSeal.objects.filter(day__lte=until)
    signed = LedgerDay.objects.filter(day__lte=until)
    if since is not None:
        sealed, signed = sealed.filter(day__gte=since), signed.filter(day__gte=since)
    covered = dict(signed.order_by().values_list("day").annotate(last=Max("last_seal")))
    latest = dict(sealed.order_by().values_list("day").annotate(last=Max("id")))
    began = ledger_began()
    made = []
    for day in _days(began if since is None else max(began or until, since), until):
        # Retention takes the seals of a day that was signed; it keeps the root.
        if day not in covered or covered[day] < latest.get(day, 0):
            try:
                made.append(_sign(day))
            except IntegrityError:  # another worker was faster
                break
    return made


def ledger_began() -> date | None:
    """Return the first day that has a seal or a root; ``None`` if there is none."""
    firsts = [
        rows.aggregate(first=Min("day"))["first"]
        for rows in (LedgerSeal.objects.all(), LedgerDay.objects.all())
    ]
    return min((first for first in firsts if first is not None), default=None)


def _days(first: date | None, last: date) -> Iterator[date]:
    while first is not None and first <= last:
        yield first
        first += timedelta(days=1)


@transaction.atomic
def _sign(day: date) -> LedgerDay:
    seals = list(LedgerSeal.objects.filter(day=day))
    leaves = {row: leaf for row, (leaf, _) in leaves_of(seals).items() if leaf != REMOVED}
    before = LedgerDay.objects.filter(day=day).order_by("revision").last()
    last = LedgerDay.objects.last()
    key = signing_key()
    root = LedgerDay(
        day=day,
        revision=1 if before is None else before.revision + 1,
        rows=len(leaves),
        last_seal=seals[-1].pk if seals else 0,
        root=merkle_root(leaves),
        previous="" if last is None else last.hash,
        key=public_text(key),
    )
    root.hash = day_hash(root)
    root.signature = key.sign(bytes.fromhex(root.hash)).hex()
    root.save(force_insert=True)
    return root


def latest_roots(since: date, until: date) -> dict[date, LedgerDay]:
    """Return the last revision of each day from ``since`` until before ``until``."""
    rows = LedgerDay.objects.filter(day__gte=since, day__lt=until).order_by("revision")
    return {row.day: row for row in rows}
