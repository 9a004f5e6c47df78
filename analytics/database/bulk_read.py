"""Rows of one table by the values of one column, by a statement that is written once.

The ORM writes the statement of a query anew each time, which took nine tenths of
reading an answer from the cache. What comes out of the columns is the same, made by the same
fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, TypeVar

from django.db import connections, models

Row = TypeVar("Row", bound=models.Model)
Made = tuple[str, list[tuple[int, Callable[..., Any], Any]]]


class RowReader(Generic[Row]):
    """Reads rows of ``table`` whose ``column`` is one of some values."""

    def __init__(self, table: type[Row], column: str) -> None:
        self._table = table
        self._column = column
        self._fields = list(table._meta.concrete_fields)
        self._names = [field.attname for field in self._fields]
        self._made: dict[str, Made] = {}

    def read(self, values: Collection[Any]) -> list[Row]:
        """In no order. ``values`` as the driver takes them."""
        own = connections["default"]
        if own.vendor not in self._made:
            self._made[own.vendor] = self._make(own)
        sql, converters = self._made[own.vendor]
        marks = ", ".join(["%s"] * len(values))
        with own.cursor() as cursor:
            cursor.execute(f"{sql} ({marks})", list(values))
            found: Sequence[Sequence[Any]] = cursor.fetchall()
        rows = []
        for line in found:
            columns = list(line)
            for place, convert, column in converters:
                columns[place] = convert(columns[place], column, own)
            rows.append(self._table.from_db(own.alias, self._names, columns))
        return rows

    def _make(self, own: Any) -> Made:
        """The statement up to its values, and what makes of a column what the field holds."""
        quote = own.ops.quote_name
        table = self._table._meta.db_table
        columns = ", ".join(quote(field.column) for field in self._fields)
        (wanted,) = (field.column for field in self._fields if field.name == self._column)
        sql = f"SELECT {columns} FROM {quote(table)} WHERE {quote(wanted)} IN"  # noqa: S608 - ours
        converters = [
            (place, convert, column)
            for place, column in enumerate(field.get_col(table) for field in self._fields)
            for convert in own.ops.get_db_converters(column) + column.get_db_converters(own)
        ]
        return sql, converters
