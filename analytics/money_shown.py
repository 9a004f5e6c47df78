"""USD as people read it: rounded, with the exact amount in a tooltip."""

from __future__ import annotations

from decimal import Decimal

from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics.money import dollars

_SMALLEST_CENTS = Decimal("0.1")


def rounded_dollars(value: Decimal | None) -> str:
    """Format USD: cents from ten cents on, below that two digits that say something."""
    if not value:
        return dollars(value)
    size = abs(value)
    # The place of the first digit that is not zero, and the one behind it.
    places = 2 if size >= _SMALLEST_CENTS else 1 - size.adjusted()
    whole, _, cents = f"{size:,.{places}f}".partition(".")
    return f"{'-' if value < 0 else ''}${whole}.{cents.rstrip('0'):0<2}"


def shown_dollars(value: Decimal | None) -> str | SafeString:
    """Return the rounded amount as HTML; its title is the exact one where that says more."""
    rounded = rounded_dollars(value)
    if value is None or Decimal(rounded.replace("$", "").replace(",", "")) == value:
        return rounded
    exact = f"{'-' if value < 0 else ''}${abs(value.normalize()):,f}"
    return format_html('<span title="{}">{}</span>', exact, rounded)
