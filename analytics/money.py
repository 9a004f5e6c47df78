"""Money: USD columns, exact sums on every database, and amounts and shares as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import BigIntegerField, DecimalField, Func, Sum

_SCALE = 10
SMALLEST_USD = Decimal(1).scaleb(-_SCALE)
"""One ten-billionth of a dollar: sums in SQL count whole ones of them."""


def money(**options: Any) -> DecimalField:
    """Return a USD column; its ten decimal places hold a fraction of one cheap token's price."""
    return DecimalField(max_digits=20, decimal_places=_SCALE, **options)


def dollars(value: Decimal | None) -> str:
    """Format USD: two decimals from $1 on, six below; "unknown" without a price."""
    if value is None:
        return "unknown"
    if value == 0:
        return "$0.00"
    sign, size = ("-" if value < 0 else ""), abs(value)
    return f"{sign}${size:,.2f}" if size >= 1 else f"{sign}${size:,.6f}"


def percent(part: Decimal | int, whole: Decimal | int, places: int = 2) -> float:
    """Return ``part`` of ``whole`` in per cent; 0 if ``whole`` is zero."""
    return round(float(100 * part / whole), places) if whole else 0.0


class _WholeUnits(Func):
    """SQLite: USD as a whole number of ten-billionths."""

    template = "CAST(ROUND((%(expressions)s) * 1e10) AS INTEGER)"
    output_field = BigIntegerField()


class MoneySum(Sum):
    """``SUM`` of a USD column, exact to its ten decimal places.

    SQLite stores and adds decimals as binary floats; there the sum is taken over
    whole ten-billionths instead.
    """

    def __init__(self, expression: Any, **extra: Any) -> None:
        extra.setdefault("default", Decimal(0))
        super().__init__(
            expression, output_field=DecimalField(max_digits=30, decimal_places=_SCALE), **extra
        )

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return the SQL and its parameters for SQLite."""
        whole = self.copy()
        expression, *rest = self.get_source_expressions()
        whole.set_source_expressions([_WholeUnits(expression), *rest])
        sql, params = whole.as_sql(compiler, connection, **extra)
        return f"({sql} / 1e10)", params
