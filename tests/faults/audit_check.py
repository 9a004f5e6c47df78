"""What an audit compares once all is quiet: the provider's bill, the ledger, what clients got."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.faults.audit_clients import AuditClients
from tests.faults.billing_provider import BillingProvider, Call

Interval = tuple[float, float]
LEAST, MOST = Decimal("0.95"), Decimal("1.05")
"""Of what was charged, what the ledger may say where tokens are estimated."""
LOST = "worker_lost"
LEAST_SHARE = 0.5
"""Of an even share of the provider's time, in the calm."""
LEAST_SERVED = 2.0
"""Answers a second to honest clients of a tenant that asks for less than its share."""
HOSTILE_TENANTS = {2, 3}
"""Their hostile clients alone could take a tenant's share: their own wait for each other, and some
in vain."""
MOST_FAILED = 0.02
"""Of the honest requests in the calm."""
READY_LATE = 2.0
"""Seconds for which ``/ready`` may say 200 beside refused records."""


@dataclass
class Row:
    """A request of the ledger."""

    number: int
    id: str
    cost: Decimal | None
    failed_cost: Decimal
    estimated: bool
    status: str
    error: str

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Row:
        session, pk, cost, failed_cost, estimated, status, error = values
        number = int(session.removeprefix("audit-")) if session else 0
        cost = None if cost is None else round(Decimal(str(cost)), 12)
        failed = round(Decimal(str(failed_cost)), 12)
        return cls(number, pk.replace("-", ""), cost, failed, bool(estimated), status, error)

    @property
    def answer(self) -> Decimal:
        """What the answer itself cost, without the calls before it that failed."""
        return (self.cost or Decimal(0)) - self.failed_cost


ROWS = (
    "SELECT session_id, {id}, cost, failed_cost, usage_estimated, status, error_code FROM requests"
)


class Account:
    """The calls that the provider got for one number, and the rows that the ledger has of it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.rows: list[Row] = []

    @property
    def served(self) -> Decimal:
        return sum((call.served for call in self.calls), Decimal(0))

    @property
    def billed(self) -> Decimal:
        return sum((call.billed for call in self.calls), Decimal(0))

    @property
    def booked(self) -> Decimal:
        return sum((row.cost or Decimal(0) for row in self.rows), Decimal(0))

    @property
    def lost(self) -> bool:
        """Whether a worker died with one of its calls."""
        return any(row.error == LOST for row in self.rows)

    def __str__(self) -> str:
        return (
            f"{_told(self.calls)} billed {self.billed:.6f} booked {self.booked:.6f}"
            f" {_rows(self.rows)}"
        )


@dataclass
class Money:
    """The ledger of a round beside the provider's bill, in USD."""

    accounts: dict[int, Account]

    @classmethod
    def of(cls, calls: list[Call], rows: list[Row]) -> Money:
        accounts: dict[int, Account] = defaultdict(Account)
        for call in calls:
            accounts[call.number].calls.append(call)
        for row in rows:
            accounts[row.number].rows.append(row)
        return cls(accounts)

    def sum_of(self, what: str) -> Decimal:
        return sum((getattr(account, what) for account in self.accounts.values()), Decimal(0))

    def furthest_apart(self) -> list[str]:
        apart = sorted(self.accounts.items(), key=lambda item: item[1].booked - item[1].billed)
        return [f"{number}: {account}" for number, account in (*apart[:12], *apart[-12:])]

    def __str__(self) -> str:
        lost = Money({n: account for n, account in self.accounts.items() if account.lost})
        unseen = sum(len(account.calls) < len(account.rows) for account in lost.accounts.values())
        return (
            f"{self.sums()}; of this {len(lost.accounts)} calls of dead workers, of which"
            f" {unseen} did not arrive, {lost.sums()}"
        )

    def sums(self) -> str:
        served, billed, booked = map(self.sum_of, ("served", "billed", "booked"))
        return (
            f"served {served:.6f}, billed {billed:.6f}, ledger {booked:.6f}"
            f" ({booked / (served or 1):.1%} of served, {booked / (billed or 1):.1%} of billed)"
        )

    def wrong(self, plain: set[int]) -> list[str]:
        """What the ledger may not say, given the bill. ``plain`` are the honest requests."""
        wrong = []
        for number, account in self.accounts.items():
            if account.served and not account.rows:
                wrong.append(f"served and nowhere recorded, {number}: {account}")
            if number in plain and not account.lost and not _fits(account):
                wrong.append(f"an honest answer is lost, doubled or mispriced, {number}: {account}")
        served, booked = self.sum_of("served"), self.sum_of("booked")
        if not served <= booked <= served * MOST:
            wrong.append("\n    ".join([str(self), *self.furthest_apart()]))
        return wrong


def _fits(account: Account) -> bool:
    """Whether each answer of an honest request costs what its own call did. Calls whose answers
    did not arrive, or that did not arrive themselves, are booked apart: as what they may cost."""
    if not account.calls or not all(call.complete for call in account.calls):
        return True
    answers = Counter(row.answer for row in account.rows if row.status == "ok" and row.answer)
    calls = Counter(call.billed for call in account.calls)
    if answers - calls:
        return False
    missing = sum((calls - answers).elements(), Decimal(0))
    apart = account.booked - sum(answers.elements(), Decimal(0))
    most = max((call.most for call in account.calls), default=Decimal(0))
    return missing * LEAST <= apart <= most * len(account.rows) * MOST


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
    """In each calm, every tenant has its part of the provider's time, unless its honest clients
    ask for less and are answered all the time; and nothing honest fails but by its own tenant."""
    wrong = []
    for start, end in calm:
        used = [0.0] * 4
        for call in provider.calls:
            used[call.tenant] += max(0.0, min(end, call.ended) - max(start, call.begun))
        answers = Counter(_answers(clients, [(start, end)]))
        for tenant, time in enumerate(used):
            share, served = time / (sum(used) or 1.0), answers[tenant, "ok"] / (end - start)
            if share < LEAST_SHARE / 4 and served < LEAST_SERVED:
                wrong.append(
                    f"tenant {tenant} had {share:.0%} of the provider's time and"
                    f" {served:.1f} answers a second: {answers}"
                )
    honest = Counter(a for a in _answers(clients, calm) if "concurrent requests" not in a[1])
    failed = Counter({answer: count for answer, count in honest.items() if answer[1] != "ok"})
    if failed.total() > MOST_FAILED * honest.total():
        wrong.append(f"of {honest.total()} honest requests in the calm failed: {dict(failed)}")
    crowded = Counter(a[0] for a in _answers(clients, calm) if "concurrent requests" in a[1])
    if crowded.keys() - HOSTILE_TENANTS:
        wrong.append(f"tenants below their share found no place: {dict(crowded)}")
    return wrong


def _answers(clients: AuditClients, within: list[Interval]) -> list[tuple[int, str]]:
    return [
        (tenant, outcome)
        for at, tenant, outcome in clients.honest
        if any(start < at < end for start, end in within)
    ]
