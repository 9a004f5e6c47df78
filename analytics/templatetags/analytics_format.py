"""Template filters that format money and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import format_html

from analytics.money import dollars as format_dollars
from analytics.money_shown import shown_dollars

register = template.Library()


@register.filter
def figure(value: Any) -> str:
    """Format a Decimal as USD; return anything else as text."""
    return format_dollars(value) if isinstance(value, Decimal) else str(value)


@register.filter
def dollars(value: Any) -> str:
    """Format USD given as a Decimal, or as the text that JSON stores for one.

    It is rounded, with the exact amount as its title.
    """
    return shown_dollars(None if value in (None, "") else Decimal(str(value)))


@register.filter
def signed(value: Decimal) -> str:
    """Format USD with a sign, also of gains."""
    shown = shown_dollars(value)
    return format_html("+{}", shown) if value > 0 else shown


@register.filter
def rate(value: Decimal | None) -> str:
    """Format USD per million tokens, with at least two decimals and no further trailing zeros."""
    if value is None:
        return "unknown"
    text = f"{value.normalize():f}"
    whole, _, fraction = text.partition(".")
    return f"${int(whole):,}.{fraction:0<2}"


@register.filter
def short(value: int) -> str:
    """Format a number of tokens to three digits: 131 k, 1.05 M."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


@register.filter
def item(values: Mapping[str, str], name: str) -> str:
    """Return the value of ``name``, empty if there is none."""
    return values.get(name, "")
