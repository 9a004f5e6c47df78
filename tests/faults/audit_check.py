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
GREEDY = 3
"""The tenant that asks for far more than its share: its own clients wait for each other, and some
in vain. All others are answered."""
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
        """Whether a worker died with one of its calls: nobody is left who knows how far it came,
        so that it is booked up to what it could have cost."""
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

    def lost(self) -> list[Account]:
        return [account for account in self.accounts.values() if account.lost]

    def __str__(self) -> str:
        lost = self.lost()
        unseen = sum(len(account.calls) < len(account.rows) for account in lost)
        return (
            f"served {self.sum_of('served'):.6f}, billed {self.sum_of('billed'):.6f}, ledger"
            f" {self.sum_of('booked'):.6f}; {len(lost)} calls of dead workers, of which {unseen}"
            f" did not arrive, billed {sum(a.billed for a in lost):.6f}, booked"
            f" {sum(a.booked for a in lost):.6f}"
        )

    def wrong(self, plain: set[int]) -> list[str]:
        """What the ledger may not say, given the bill. ``plain`` are the honest requests."""
        wrong = []
        for number, account in self.accounts.items():
            if account.served and not account.rows:
                wrong.append(f"served and nowhere recorded, {number}: {account}")
            if number in plain and not account.lost and not _fits(account):
                wrong.append(f"an honest answer is lost, doubled or mispriced, {number}: {account}")
        if not self.sum_of("served") <= self.sum_of("booked") <= self.sum_of("billed") * MOST:
            apart = sorted(self.accounts.items(), key=lambda item: item[1].booked - item[1].billed)
            most_apart = [f"{number}: {account}" for number, account in (*apart[:12], *apart[-12:])]
            wrong.append("\n    ".join([str(self), *most_apart]))
        return wrong


def _fits(account: Account) -> bool:
    """Whether an honest request costs what its calls did. One that could not be delivered may be
    booked as lost: up to what it could have cost."""
    if not all(call.complete for call in account.calls):
        return True
    if all(row.status == "ok" for row in account.rows):
        return account.booked == account.billed
    most = sum((call.most for call in account.calls), Decimal(0))
    return account.billed * LEAST <= account.booked <= most * MOST


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
    """In each calm, every tenant has its part of the provider's time, and the clients of those
    that ask for no more than their share are answered."""
    wrong = []
    for window in calm:
        used = [0.0] * 4
        for call in provider.calls:
            used[call.tenant] += max(0.0, min(window[1], call.ended) - max(window[0], call.begun))
        shares = [time / (sum(used) or 1.0) for time in used]
        if min(shares) < LEAST_SHARE / 4:
            wrong.append(f"shares of the provider's time: {[round(share, 2) for share in shares]}")
        for tenant in range(4):
            if tenant != GREEDY and (tenant, "ok") not in _answers(clients, [window]):
                wrong.append(f"tenant {tenant} got no answer for {window[1] - window[0]:.1f} s")
    answers = _answers(clients, calm)
    if (GREEDY, "ok") not in answers:
        wrong.append("the greedy tenant got no answer")
    others = Counter(answer for answer in answers if not _is_own_fault(*answer))
    failed = Counter({answer: count for answer, count in others.items() if answer[1] != "ok"})
    if failed.total() > MOST_FAILED * others.total():
        wrong.append(f"of {others.total()} honest requests in the calm failed: {dict(failed)}")
    return wrong


def _is_own_fault(tenant: int, outcome: str) -> bool:
    """The clients of the greedy tenant wait for each other, and some in vain."""
    return tenant == GREEDY and "concurrent requests" in outcome


def _answers(clients: AuditClients, within: list[Interval]) -> list[tuple[int, str]]:
    return [
        (tenant, outcome)
        for at, tenant, outcome in clients.honest
        if any(start < at < end for start, end in within)
    ]
