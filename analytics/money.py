"""Exact sums of money on every database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import DecimalField, Sum

_SCALE = 10


class MoneySum(Sum):
    """``SUM`` of a USD column, exact to its ten decimal places.

    SQLite keeps decimals as binary floats and adds them as such; there the sum
    is taken over whole ten-billionths instead.
    """

    def __init__(self, expression: Any, **extra: Any) -> None:
        extra.setdefault("default", Decimal(0))
        super().__init__(
            expression, output_field=DecimalField(max_digits=30, decimal_places=_SCALE), **extra
        )

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        sql, params = super().as_sql(
            compiler,
            connection,
            template="%(function)s(CAST(ROUND((%(expressions)s) * 1e10) AS INTEGER))",
            **extra,
        )
        return f"({sql} / 1e10)", params
