"""A line of a provider's statement: what it charges, or what it counted, on a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

ZERO = Decimal(0)
_MOST_DIGITS = 12
"""Digits before the point that an amount or a count may have; no bill has as many."""


class StatementError(Exception):
    """A statement cannot be read; the message says why and names no key."""


@dataclass(frozen=True, slots=True)
class StatedLine:
    """One line: a charge if it has an ``amount`` (USD), else the usage that was counted.

    ``day`` is the day that the provider states, in the time zone of the statement. ``model`` is
    as the provider spells it, empty if the line is of none; ``key`` is the provider's id of a
    key, else of a project or workspace. ``tokens_in`` includes cached tokens; ``requests`` and
    tokens are ``None`` if they are not stated.
    """

    day: date
    model: str = ""
    key: str = ""
    item: str = ""
    amount: Decimal | None = None
    requests: int | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None


def amount_of(value: Any) -> Decimal:
    """Return an amount that a program wrote, to the last digit: with a point, without thousands.

    Raises :class:`StatementError`.
    """
    text = value if isinstance(value, str) else str(value)
    if "," in text:
        raise StatementError(f"{text[:40]!r} is no amount of a report: it has a comma.")
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise StatementError(f"{text[:40]!r} is no amount.") from None
    return bounded(amount, text)


def bounded(amount: Decimal, text: str) -> Decimal:
    """Return the amount that is written ``text``, if a bill could have it.

    Raises :class:`StatementError`.
    """
    if not amount.is_finite() or amount.adjusted() >= _MOST_DIGITS:
        raise StatementError(f"{text[:40]!r} is no amount.")
    return amount


def in_dollars(currency: str) -> None:
    """Raise :class:`StatementError` if the currency is not USD."""
    if currency.strip().lower() not in {"usd", ""}:
        raise StatementError(
            f"The statement is in {currency[:10]}, and the ledger in USD. Export it in USD."
        )
