"""Matches a provider's statement with the ledger, by model and day of the statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.conf import settings

from analytics.models import ProviderStatementLine
from analytics.reconciliation.causes import (
    APART,
    DAY_EDGE,
    HARMLESS,
    TIME_ZONE,
    UNEXPLAINED,
    ReconciledCell,
    explain_alone,
)
from analytics.reconciliation.ledger_charges import ZERO, Hours, LedgerCharges, ledger_charges
from analytics.reconciliation.stated_models import ledger_model
from analytics.reconciliation.stored_lines import lines_between, stated_providers

_HOUR = timedelta(hours=1)
_OFFSETS = sorted((hours for hours in range(-12, 15) if hours), key=abs)
"""Hours from UTC at which days may begin, the likelier ones of two that fit first."""
Cells = dict[tuple[date, str], ReconciledCell]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A provider's statement beside the ledger; ``since`` and ``until`` bound the stated days.

    ``offset`` is the hours from UTC at which the statement's days fit, if it is another time
    zone than the statement was read in.
    """

    provider: str
    since: date
    until: date
    time_zone: str
    cells: Sequence[ReconciledCell]
    offset: int | None = None

    @property
    def invoice(self) -> Decimal:
        """Return what the provider states, in USD."""
        return sum((cell.invoice for cell in self.cells), ZERO)

    @property
    def ledger(self) -> Decimal:
        """Return what the ledger has, in USD."""
        return sum((cell.ledger.cost for cell in self.cells), ZERO)

    @property
    def causes(self) -> dict[str, Decimal]:
        """Return the remainder by cause, the largest first."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for cell in self.cells:
            for cause, amount in (*cell.causes.items(), (UNEXPLAINED, cell.unexplained)):
                sums[cause] += amount
        kept = {cause: amount for cause, amount in sums.items() if amount}
        return dict(sorted(kept.items(), key=lambda item: -abs(item[1])))

    @property
    def capture_rate(self) -> float | None:
        """Return the share of the invoice that the ledger has, from 0 to 1."""
        captured = sum((cell.captured for cell in self.cells), ZERO)
        return float(captured / self.invoice) if self.invoice else None

    @property
    def missing(self) -> Decimal:
        """Return the USD by which both sides differ, whatever the sign, beyond moved amounts."""
        sums = (
            amount
            for cell in self.cells
            for cause, amount in (*cell.causes.items(), (UNEXPLAINED, cell.unexplained))
            if cause not in HARMLESS
        )
        return sum(map(abs, sums), ZERO)

    @property
    def missing_percent(self) -> float:
        """Return :attr:`missing` in per cent of the invoice, or of the ledger without one."""
        whole = self.invoice or self.ledger
        return round(float(100 * self.missing / whole), 4) if whole else 0.0


def reconcile(
    provider: str, since: date, until: date, keys: Collection[str] = ()
) -> Reconciliation | None:
    """Reconcile the stored lines of the days; ``None`` if nothing is stated.

    With ``keys`` (the provider's ids of the gateway's keys or projects), lines of other keys
    are calls of others. A provider that states none of them is matched as a whole.
    """
    lines = lines_between(provider, since, until)
    if not lines:
        return None
    if not any(line.key in keys for line in lines):
        keys = ()
    zone = ZoneInfo(lines[-1].time_zone)
    first, end = lines[0].day, lines[-1].day + timedelta(days=1)
    start, stop = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, end))
    # A day more on either side, for days that turn out to be those of another time zone.
    hours = ledger_charges(provider, start - timedelta(days=1), stop + timedelta(days=1))
    models = {model for model, _ in hours}
    cells = _cells(lines, models, keys)
    for (model, hour), charges in hours.items():
        if start <= hour < stop:
            day = hour.astimezone(zone).date()
            _cell(cells, day, model).ledger.add(charges)
    _explain_lines_apart(cells)
    _explain_day_edges(cells, hours, zone)
    offset = _explain_time_zone(cells, hours)
    for cell in cells.values():
        explain_alone(cell)
    ordered = [cell for _, cell in sorted(cells.items())]
    return Reconciliation(provider, first, end, str(zone), ordered, offset)


def _cell(cells: Cells, day: date, model: str) -> ReconciledCell:
    return cells.setdefault((day, model), ReconciledCell(day, model))


def _cells(
    lines: Iterable[ProviderStatementLine], models: Collection[str], keys: Collection[str]
) -> Cells:
    cells: Cells = {}
    names: dict[str, str] = {}
    for line in lines:
        model = names.setdefault(line.model, ledger_model(line.model, models))
        cell = _cell(cells, line.day, model)
        other = bool(keys) and line.key not in keys
        if line.amount is not None:
            cell.invoice += line.amount
            cell.rounding += Decimal(5).scaleb(-line.places - 1)
            cell.other_keys += line.amount if other else ZERO
        if other:
            continue
        if line.requests is not None:
            cell.stated_requests = (cell.stated_requests or 0) + line.requests
        if line.tokens_in is not None:
            tokens = line.tokens_in + (line.tokens_out or 0)
            cell.stated_tokens = (cell.stated_tokens or 0) + tokens
    return cells


def _explain_time_zone(cells: Cells, hours: Hours) -> int | None:
    """Explain remainders that vanish if the statement's days begin at another hour.

    That takes the place of calls beside midnight, if these do not explain as much.
    """
    here = sum(abs(_own(cell)) for cell in cells.values())
    allowed = sum(cell.rounding for cell in cells.values())
    if here <= allowed or len({day for day, _ in cells}) < 2:
        return None
    best, best_left, best_sums = None, here / 20, {}
    for offset in _OFFSETS:
        sums: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
        for (model, hour), charges in hours.items():
            sums[(hour + offset * _HOUR).date(), model] += charges.cost
        left = sum(abs(cell.invoice - cell.other_keys - sums[key]) for key, cell in cells.items())
        if left < best_left or (best is None and left <= allowed):
            best, best_left, best_sums = offset, left, sums
    if best is None:
        return None
    for key, cell in cells.items():
        cell.causes.clear()
        cell.explain(TIME_ZONE, best_sums[key] - cell.ledger.cost)
    return best


def _explain_lines_apart(cells: Cells) -> None:
    """Offset lines that name no model of the ledger, such as tools, with models that lack them."""
    days: dict[date, list[ReconciledCell]] = defaultdict(list)
    for cell in cells.values():
        days[cell.day].append(cell)
    for group in days.values():
        more = [cell for cell in group if not cell.ledger.requests and _own(cell) > 0]
        less = [cell for cell in group if cell.ledger.requests and _own(cell) < -cell.rounding]
        for cell in more:
            for other in less:
                # Only what is wholly explained by it: a part may as well be another cause.
                moved = _own(cell)
                if moved and abs(_own(other) + moved) <= other.rounding + cell.rounding:
                    cell.explain(APART, moved)
                    other.explain(APART, -moved)


def _own(cell: ReconciledCell) -> Decimal:
    return cell.unexplained - cell.other_keys


def _explain_day_edges(cells: Cells, hours: Hours, zone: ZoneInfo) -> None:
    """Offset two days of a model whose remainders cancel, by calls of the hours between them."""
    for (day, model), cell in sorted(cells.items()):
        following = cells.get((day + timedelta(days=1), model))
        if following is None:
            continue
        first, second = _own(cell), _own(following)
        if first * second >= 0:
            continue
        moved = min(abs(first), abs(second))
        midnight = datetime.combine(following.day, time(), zone).astimezone(UTC)
        # A call that the ledger has on the day that states less was made beside midnight.
        hour = midnight - _HOUR if first < 0 else midnight
        nearby = hours.get((model, hour), LedgerCharges()).cost
        if ZERO < moved <= nearby:
            sign = 1 if first > 0 else -1
            cell.explain(DAY_EDGE, sign * moved)
            following.explain(DAY_EDGE, -sign * moved)


def missing_since(since: date) -> tuple[Decimal, Decimal]:
    """Return the USD that is missing on either side since a day, and what providers state."""
    missing = invoice = ZERO
    until = datetime.now(UTC).date() + timedelta(days=1)
    for provider in stated_providers(since, until):
        result = reconcile(provider, since, until, settings.RECONCILE_KEYS)
        if result is not None:
            missing, invoice = missing + result.missing, invoice + result.invoice
    return missing, invoice
