"""What an audit compares once all is quiet: the provider's bill, the ledger, what clients got."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.faults.audit_clients import AuditClients
from tests.faults.billing_provider import BillingProvider, Call

Interval = tuple[float, float]
TOLERANCE = Decimal("0.05")
LEAST_SHARE = 0.5
"""Of an even share of the provider's time, in the calm."""
LONGEST_SILENCE = 4.0
"""Seconds in the calm without an answer to any honest client of a tenant."""
READY_LATE = 2.0
"""Seconds for which ``/ready`` may say 200 beside refused records."""


@dataclass
class Row:
    """A request of the ledger."""

    number: int
    id: str
    cost: Decimal | None
    estimated: bool
    status: str
    error: str

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Row:
        session, pk, cost, estimated, status, error = values
        number = int(session.removeprefix("audit-")) if session else 0
        cost = None if cost is None else round(Decimal(str(cost)), 12)
        return cls(number, pk.replace("-", ""), cost, bool(estimated), status, error)


ROWS = "SELECT session_id, {id}, cost, usage_estimated, status, error_code FROM requests"


def money_is_wrong(provider: BillingProvider, rows: list[Row], clients: AuditClients) -> list[str]:
    """Calls of a worker that died may be booked up to what they could have cost: nobody is left
    who knows how far they came, nor whose they were. They are compared among themselves."""
    calls: dict[int, list[Call]] = defaultdict(list)
    booked: dict[int, list[Row]] = defaultdict(list)
    lost = Decimal(0)
    for call in provider.calls:
        calls[call.number].append(call)
    for row in rows:
        if row.error == "worker_lost":
            lost += row.cost or Decimal(0)
        else:
            booked[row.number].append(row)
    wrong = []
    served = billed = ledger = Decimal(0)
    apart: list[tuple[Decimal, str]] = []
    lost_calls: list[Call] = []
    for number in calls.keys() | booked.keys():
        if number in clients.plain and len(calls[number]) > len(booked[number]):
            # Asked again, because its first answer was lost with its worker.
            costs = {row.cost for row in booked[number]}
            lost_calls += [call for call in calls[number] if call.billed not in costs]
            calls[number] = [call for call in calls[number] if call.billed in costs]
        least = sum((call.served for call in calls[number]), Decimal(0))
        bill = sum((call.billed for call in calls[number]), Decimal(0))
        if not booked[number]:
            lost_calls += calls[number]
            continue
        cost = sum((row.cost or Decimal(0) for row in booked[number]), Decimal(0))
        text = (
            f"{number}: {_told(calls[number])} billed {bill:.6f} booked {cost:.6f}"
            f" {_rows(booked[number])}"
        )
        served, billed, ledger = served + least, billed + bill, ledger + cost
        apart.append((cost - bill, text))
        if number in clients.plain and not _fits(calls[number], booked[number], cost, bill):
            wrong.append(f"an honest answer is lost, doubled or mispriced, {text}")
    apart.sort()
    most_apart = "\n    ".join(text for _, text in (*apart[:12], *apart[-12:]))
    if not served * (1 - TOLERANCE / 5) <= ledger <= billed * (1 + TOLERANCE):
        wrong.append(
            f"served {served:.6f}, billed {billed:.6f}, ledger {ledger:.6f}:\n    {most_apart}"
        )
    least_lost = sum((min(call.served, call.allowed) for call in lost_calls), Decimal(0))
    most_lost = sum((call.most for call in lost_calls), Decimal(0))
    if not least_lost * (1 - TOLERANCE) <= lost <= most_lost * (1 + TOLERANCE):
        wrong.append(
            f"calls of dead workers: served {least_lost:.6f}, at most {most_lost:.6f},"
            f" booked {lost:.6f} for {_told(lost_calls)}"
        )
    return wrong


def _fits(calls: list[Call], rows: list[Row], cost: Decimal, bill: Decimal) -> bool:
    """Whether an honest request costs what its calls did. One that could not be delivered may be
    booked as lost: up to what it could have cost."""
    if not all(call.complete for call in calls):
        return True
    if all(row.status == "ok" for row in rows):
        return cost == bill
    most = sum((call.most for call in calls), Decimal(0))
    return bill * (1 - TOLERANCE) <= cost <= most * (1 + TOLERANCE)


def _told(calls: list[Call]) -> str:
    return ", ".join(
        f"{call.act}{'/stream' if call.streamed else ''} {call.model} {call.tokens_in}"
        f"+{call.tokens_out}/{call.max_tokens}{'' if call.complete else ' cut'}"
        for call in calls
    )


def _rows(rows: list[Row]) -> str:
    return ", ".join(f"{row.status} {row.error}{'~' if row.estimated else ''}" for row in rows)


def delivered_is_lost(rows: list[Row], clients: AuditClients) -> list[str]:
    by_id = {row.id: row for row in rows}
    wrong = []
    for number, pk, cost in clients.delivered:
        row = by_id.get(pk.replace("-", ""))
        if row is None:
            wrong.append(f"{number}: delivered and not recorded ({pk})")
        elif row.cost is None or round(row.cost, 9) != round(cost, 9):
            wrong.append(
                f"{number}: the client was told {cost}, the ledger says {row.cost} ({_rows([row])})"
            )
    ids = Counter(pk for _, pk, _ in clients.delivered)
    return wrong + [f"{pk} was delivered {n} times" for pk, n in ids.items() if n > 1]


def readiness_lied(clients: AuditClients) -> list[str]:
    """Spans in which ``/ready`` said nothing but 200 while records were refused."""
    events = sorted(
        [(at, status) for at, status in clients.readiness] + [(at, 0) for at in clients.refusals]
    )
    wrong, first = [], None
    for at, status in events:
        if status == 0:
            first = first if first is not None else at
            if at - first > READY_LATE:
                wrong.append(f"/ready said 200 beside records refused for {at - first:.1f} s")
        elif status != 200 or not any(abs(at - refused) < 1 for refused in clients.refusals):
            first = None
    return wrong[-1:]


def shares_are_unfair(
    provider: BillingProvider, clients: AuditClients, calm: list[Interval]
) -> list[str]:
    used = [0.0] * 4
    for call in provider.calls:
        for start, end in calm:
            used[call.tenant] += max(0.0, min(end, call.ended) - max(start, call.begun))
    wrong = []
    shares = [time / sum(used) for time in used]
    if min(shares) < LEAST_SHARE / 4:
        wrong.append(f"shares of the provider's time: {[round(share, 2) for share in shares]}")
    for tenant in range(4):
        for start, end in calm:
            answered = (
                at for at, whose, status in clients.honest if (whose, status) == (tenant, "ok")
            )
            silence = _longest([start, *(at for at in answered if start < at < end), end])
            if silence > LONGEST_SILENCE:
                wrong.append(f"tenant {tenant} got no answer for {silence:.1f} s")
    statuses = Counter(
        status for at, _, status in clients.honest if any(s < at < e for s, e in calm)
    )
    refused = sum(statuses.values()) - statuses["ok"]
    if refused > 0.02 * sum(statuses.values()):
        wrong.append(f"honest clients were answered {dict(statuses)} in the calm")
    return wrong


def _longest(times: Iterable[float]) -> float:
    ordered = sorted(times)
    return max(later - at for at, later in itertools.pairwise(ordered))
