"""How figures are written in the admin's templates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template

from analytics.money import dollars as format_dollars

register = template.Library()


@register.filter
def figure(value: Any) -> str:
    """Money as dollars, anything else as it is."""
    return format_dollars(value) if isinstance(value, Decimal) else str(value)


@register.filter
def dollars(value: Any) -> str:
    """USD from a Decimal or the string that JSON keeps of one."""
    return format_dollars(None if value in (None, "") else Decimal(str(value)))
