"""Compares the ledger with its seals, and the seals with the signed roots of days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Min

from analytics.ledger.seals import (
    REMOVED,
    Pair,
    leaves_of,
    merkle_root,
    row_hash,
    rows_seal,
    seal_hash,
)
from analytics.models import LedgerDay, LedgerSeal, RequestRecord, RoutingMetric, TotalsState
from analytics.proof.day_roots import day_hash
from analytics.proof.signing import signed_by

_TOGETHER = 2_000


@dataclass(slots=True)
class DayCheck:
    """What disagrees on a UTC day.

    ``unsealed`` rows have no seal, ``pruned`` ones were deleted by retention. ``broken``
    describes seals and roots that were changed.
    """

    day: date
    rows: int = 0
    changed: list[UUID] = field(default_factory=list)
    missing: list[UUID] = field(default_factory=list)
    unsealed: list[UUID] = field(default_factory=list)
    pruned: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Return whether every row is as it was sealed."""
        return not (self.changed or self.missing or self.unsealed or self.broken)


def ledger_check(since: date, until: date) -> Iterator[DayCheck]:
    """Check each day from ``since`` until before ``until`` that has rows, seals or a root."""
    pruned_before = TotalsState.objects.aggregate(at=Max("pruned_before"))["at"]
    roots = _broken_roots()
    signed = set(LedgerDay.objects.values_list("day", flat=True))
    day = since
    while day < until:
        check = _check_day(day, pruned_before)
        check.broken += roots.pop(day, [])
        if signed and min(signed) < day < max(signed) and day not in signed:
            check.broken.append("the day has no signed root, and days after it have one")
        if check.rows or check.pruned or not check.agrees:
            yield check
        day += timedelta(days=1)


def ledger_span() -> tuple[date, date] | None:
    """Return the first day of the ledger and the day after its last one; ``None`` if empty."""
    rows = RequestRecord.objects.aggregate(first=Min("created_at"), last=Max("created_at"))
    days = LedgerDay.objects.aggregate(first=Min("day"), last=Max("day"))
    seals = LedgerSeal.objects.aggregate(first=Min("day"), last=Max("day"))
    bounds = [
        value.astimezone(UTC).date() if isinstance(value, datetime) else value
        for span in (rows, days, seals)
        for value in span.values()
        if value is not None
    ]
    return (min(bounds), max(bounds) + timedelta(days=1)) if bounds else None


def pairs_of_day(day: date) -> Iterator[Pair]:
    """Yield the rows of a UTC day with their decisions, in the order of their ids."""
    start = datetime.combine(day, time(), UTC)
    rows = RequestRecord.objects.filter(
        created_at__gte=start, created_at__lt=start + timedelta(days=1)
    ).order_by("pk")
    after: UUID | None = None
    while True:
        page = list((rows if after is None else rows.filter(pk__gt=after))[:_TOGETHER])
        if not page:
            return
        decisions = RoutingMetric.objects.in_bulk([row.pk for row in page])
        yield from ((row, decisions.get(row.pk)) for row in page)
        after = page[-1].pk


def _check_day(day: date, pruned_before: datetime | None) -> DayCheck:
    check = DayCheck(day)
    seals = list(LedgerSeal.objects.filter(day=day).order_by("id"))
    check.broken += _broken_seals(seals)
    sealed = leaves_of(seals)
    left = {row for row, (leaf, _) in sealed.items() if leaf != REMOVED}
    for pair in pairs_of_day(day):
        check.rows += 1
        row = pair[0].pk
        leaf, nonce = sealed.get(row, (REMOVED, b""))
        if leaf == REMOVED:
            check.unsealed.append(row)
        elif row_hash(pair, nonce).leaf != leaf:
            check.changed.append(row)
        left.discard(row)
    if pruned_before is not None and day <= pruned_before.astimezone(UTC).date():
        check.pruned = len(left)
    else:
        check.missing = sorted(left)
    _check_root(check, seals, pruned_before)
    return check


def _check_root(
    check: DayCheck, seals: Sequence[LedgerSeal], pruned_before: datetime | None
) -> None:
    root = LedgerDay.objects.filter(day=check.day).order_by("revision").last()
    if root is None:
        return
    forgotten = pruned_before is not None and check.day < pruned_before.astimezone(UTC).date()
    if not seals and forgotten:
        check.pruned = root.rows
        return
    covered = leaves_of(seal for seal in seals if seal.pk <= root.last_seal)
    if merkle_root({row: leaf for row, (leaf, _) in covered.items()}) != root.root:
        check.broken.append("the seals do not agree with the signed root of the day")


def _broken_roots() -> dict[date, list[str]]:
    """Return what is wrong with the chain of signed roots, by day."""
    broken: dict[date, list[str]] = {}
    previous = ""
    for root in LedgerDay.objects.order_by("id").iterator():
        intact = day_hash(root) == root.hash and root.previous == previous
        if not intact or not signed_by(root.key, root.signature, bytes.fromhex(root.hash)):
            text = f"root {root.revision} of the day was changed, or one before it is gone"
            broken.setdefault(root.day, []).append(text)
        previous = root.hash
    return broken


def _broken_seals(seals: Sequence[LedgerSeal]) -> Iterator[str]:
    last: dict[str, tuple[int, str]] = {}
    for seal in seals:
        if seal_hash(seal) != seal.hash:
            yield f"seal {seal.pk} was changed"
        number, previous = last.get(seal.chain, (-1, ""))
        if (seal.number, seal.previous) != (number + 1, previous):
            yield f"a seal before seal {seal.pk} is gone"
        last[seal.chain] = seal.number, seal.hash


def unsealed_adopt(since: date, until: date) -> Iterator[int]:
    """Seal rows from before there were seals; yield how many per batch."""
    day = since
    while day < until:
        sealed = leaves_of(LedgerSeal.objects.filter(day=day).order_by("id"))
        batch: list[Pair] = [pair for pair in pairs_of_day(day) if pair[0].pk not in sealed]
        for at in range(0, len(batch), _TOGETHER):
            yield _adopt(batch[at : at + _TOGETHER])
        day += timedelta(days=1)


def _adopt(pairs: Sequence[Pair]) -> int:
    with transaction.atomic():
        rows_seal(pairs, LedgerSeal.Kind.ADOPTED)
    return len(pairs)
