"""Why an invoice differs from the ledger: each cause takes a part of the remainder of a day."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from analytics.reconciliation.ledger_charges import ZERO, LedgerCharges

ROUNDING = "rounding"
TIME_ZONE = "time zone"
DAY_EDGE = "day edge"
APART = "stated on another line"
NOT_CHARGED = "estimated, not charged"
MORE_THAN_ESTIMATED = "more than estimated"
UNPRICED = "unpriced in the ledger"
PAST_GATEWAY = "calls past the gateway"
OTHER_KEYS = "calls with other keys"
PRICE = "another price"
NOT_STATED = "not stated by the provider"
UNEXPLAINED = "unexplained"
HARMLESS = frozenset((ROUNDING, TIME_ZONE, DAY_EDGE, APART))
"""Causes that move or round amounts, so that no money is missing on either side."""


@dataclass(slots=True)
class ReconciledCell:
    """A model's day: what the provider states and what the ledger has, in USD.

    ``stated_requests`` and ``stated_tokens`` are ``None`` if they are not stated. ``causes`` are
    the parts of the remainder that are explained.
    """

    day: date
    model: str
    invoice: Decimal = ZERO
    ledger: LedgerCharges = field(default_factory=LedgerCharges)
    other_keys: Decimal = ZERO
    stated_requests: int | None = None
    stated_tokens: int | None = None
    rounding: Decimal = ZERO
    causes: dict[str, Decimal] = field(default_factory=dict)

    @property
    def remainder(self) -> Decimal:
        """Return what the invoice has beyond the ledger; negative if it has less."""
        return self.invoice - self.ledger.cost

    @property
    def unexplained(self) -> Decimal:
        """Return the part of the remainder that no cause takes."""
        return self.remainder - sum(self.causes.values(), ZERO)

    @property
    def captured(self) -> Decimal:
        """Return the part of the invoice that the ledger has."""
        moved = sum((self.causes.get(name, ZERO) for name in HARMLESS), ZERO)
        return max(ZERO, min(self.ledger.cost + moved, self.invoice))

    def explain(self, cause: str, amount: Decimal) -> None:
        """Give a part of the remainder to a cause."""
        if amount:
            self.causes[cause] = self.causes.get(cause, ZERO) + amount


def explain_alone(cell: ReconciledCell) -> None:
    """Explain a cell's remainder by what is known of this model and day."""
    cell.explain(OTHER_KEYS, min(cell.other_keys, max(cell.unexplained, ZERO)))
    if abs(cell.unexplained) <= cell.rounding:
        cell.explain(ROUNDING, cell.unexplained)
    elif cell.unexplained > 0:
        _explain_more(cell)
    else:
        _explain_less(cell)


def _explain_more(cell: ReconciledCell) -> None:
    """Explain a higher invoice: calls that the ledger does not know, or does not price."""
    left, ledger = cell.unexplained, cell.ledger
    unknown = _beyond_ledger(cell)
    if not ledger.requests:
        cell.explain(PAST_GATEWAY, left)
    elif unknown:
        # What is known of the calls is their share of the tokens or, without tokens, the rest.
        known_part = ledger.unpriced or ledger.estimates
        share = unknown if known_part else Decimal(1)
        cell.explain(PAST_GATEWAY, min(left, (cell.invoice * share).quantize(left)))
    if cell.unexplained > 0 and ledger.unpriced:
        cell.explain(UNPRICED, cell.unexplained)
    elif cell.unexplained > 0 and ledger.estimates:
        cell.explain(MORE_THAN_ESTIMATED, min(cell.unexplained, ledger.estimated))
    elif cell.unexplained > 0 and _same_usage(cell):
        cell.explain(PRICE, cell.unexplained)


def _explain_less(cell: ReconciledCell) -> None:
    """Explain a lower invoice: estimates not charged, usage not stated, other prices."""
    cell.explain(NOT_CHARGED, max(cell.unexplained, -cell.ledger.estimated))
    if not cell.unexplained:
        return
    if _same_usage(cell):
        cell.explain(PRICE, cell.unexplained)
    elif _less_than_ledger(cell):
        cell.explain(NOT_STATED, cell.unexplained)


def _beyond_ledger(cell: ReconciledCell) -> Decimal:
    """Return the share of the stated usage that is beyond the ledger's, from 0 to 1."""
    if cell.stated_tokens and cell.stated_tokens > cell.ledger.tokens:
        return Decimal(cell.stated_tokens - cell.ledger.tokens) / cell.stated_tokens
    if cell.stated_requests and cell.stated_requests > cell.ledger.requests:
        return Decimal(cell.stated_requests - cell.ledger.requests) / cell.stated_requests
    return ZERO


def _less_than_ledger(cell: ReconciledCell) -> bool:
    if cell.stated_tokens is not None:
        return cell.stated_tokens < cell.ledger.tokens
    if cell.stated_requests is not None:
        return cell.stated_requests < cell.ledger.requests
    return not cell.invoice


def _same_usage(cell: ReconciledCell) -> bool:
    if cell.stated_tokens is not None:
        return cell.stated_tokens == cell.ledger.tokens
    return cell.stated_requests is not None and cell.stated_requests == cell.ledger.requests
