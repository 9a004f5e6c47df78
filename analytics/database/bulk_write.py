"""Writes many rows by one SQL statement that is built once.

The ORM builds the statement of a ``bulk_create`` each time, field by field and row by
row, which took two thirds of a commit of the ledger. What stands in the columns is the
same, made by the same fields.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import lru_cache
from operator import attrgetter, methodcaller
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import connection, connections, models
from django.db.models.base import ModelState

from analytics.encryption import EncryptedTextField, encrypt


def execute_many(sql: str, lines: Sequence[Sequence[Any]]) -> None:
    """``sql``, with ``%s`` for values and no other ``%``, for each of ``lines``.

    In the caller's transaction. Raises Django's database errors.
    """
    if not lines:
        return
    own = connections["default"]  # once: asking for the thread's own takes its time
    with own.cursor() as cursor:
        if own.vendor != "sqlite" or own.queries_logged:
            cursor.executemany(sql, lines)
            return
        # Django looks for placeholders anew each time, which took longer than the insert.
        with own.wrap_database_errors:
            sqlite3.Cursor.executemany(cursor.cursor, _with_question_marks(sql), lines)


@lru_cache(maxsize=64)
def _with_question_marks(sql: str) -> str:
    return sql.replace("%s", "?")


Row = TypeVar("Row", bound=models.Model)
Convert = Callable[[Any], Any]


class RowWriter(Generic[Row]):
    """Inserts rows of ``table``, whose keys are set or given by the database.

    Rows with the ``unique`` column's value of one that is there take its place in all
    columns but ``kept``.
    """

    def __init__(self, table: type[Row], *, unique: str = "", kept: Sequence[str] = ()) -> None:
        self._table = table
        self._fields = [
            field
            for field in table._meta.concrete_fields
            if not isinstance(field, models.AutoField)
        ]
        self._unique = unique
        self._replaced = [
            str(field.column) for field in self._fields if field.name not in {unique, *kept}
        ]
        self._values = attrgetter(*(field.attname for field in self._fields))
        self._made: dict[tuple[str, bool], tuple[str, list[tuple[int, Convert]]]] = {}

    def write(self, rows: Iterable[Row]) -> None:
        """In the caller's transaction."""
        kind = connection.vendor, bool(settings.ENCRYPTION_KEYS)
        if kind not in self._made:
            converts = ((place, _convert(field)) for place, field in enumerate(self._fields))
            self._made[kind] = self._sql(), [(p, convert) for p, convert in converts if convert]
        sql, changed = self._made[kind]
        lines = []
        for row in rows:
            line = list(self._values(row))
            for place, convert in changed:
                if line[place] is not None:
                    line[place] = convert(line[place])
            lines.append(line)
        execute_many(sql, lines)

    def _sql(self) -> str:
        quote = connection.ops.quote_name
        columns = ", ".join(quote(str(field.column)) for field in self._fields)
        values = ", ".join(["%s"] * len(self._fields))
        table = quote(self._table._meta.db_table)
        sql = f"INSERT INTO {table} ({columns}) VALUES ({values})"  # noqa: S608 - names are ours
        if not self._unique:
            return sql
        changes = ", ".join(f"{quote(c)} = EXCLUDED.{quote(c)}" for c in self._replaced)
        return f"{sql} ON CONFLICT ({quote(self._unique)}) DO UPDATE SET {changes}"


def maker_of(table: type[Row]) -> Callable[[Mapping[str, Any]], Row]:
    """Makes rows from columns' attributes by name, the rest by default: what ``table(**values)``
    does, in a quarter of its time, as no field is asked for what is the same every time.
    """
    same: dict[str, Any] = {}
    made: dict[str, Callable[[], Any]] = {}
    for field in table._meta.concrete_fields:
        if callable(field.default) or field.has_db_default():
            made[field.attname] = field.get_default
        else:
            same[field.attname] = field.get_default()
    known = {*same, *made}

    def make(values: Mapping[str, Any]) -> Row:
        if not values.keys() <= known:
            raise TypeError(f"{table.__name__} has no {sorted(values.keys() - known)}")
        row = table.__new__(table)
        row._state = ModelState()
        columns = vars(row)
        columns.update(same)
        for name, default in made.items():
            if name not in values:
                columns[name] = default()
        columns.update(values)
        return row

    return make


_PLAIN: dict[type[models.Field], Convert] = {
    models.PositiveIntegerField: int,
    models.PositiveBigIntegerField: int,
    models.FloatField: float,
    models.BooleanField: bool,
    # A choice is a kind of string that not every driver knows.
    models.CharField: str,
    models.TextField: str,
}


def _convert(field: models.Field) -> Convert | None:
    """What makes of an attribute what the connection's driver takes; ``None`` for nothing."""
    if isinstance(field, models.ForeignKey):
        return _convert(field.target_field)
    if type(field) is EncryptedTextField:
        return encrypt if settings.ENCRYPTION_KEYS else str
    if plain := _PLAIN.get(type(field)):
        return plain
    if connection.vendor == "postgresql" and type(field) in {
        models.DecimalField,
        models.DateTimeField,
        models.DateField,
        models.UUIDField,
    }:
        return None
    if type(field) is models.DecimalField:
        return _exact(field)
    if connection.vendor == "sqlite" and type(field) is models.UUIDField:
        return _HEX
    if connection.vendor == "sqlite" and type(field) is models.DateTimeField:
        return _in_utc
    if connection.vendor == "sqlite" and type(field) is models.JSONField:
        return (field.encoder or json.JSONEncoder)().encode
    return lambda value: field.get_db_prep_save(value, connection)


_HEX = attrgetter("hex")


def _in_utc(value: datetime) -> str:
    """As Django writes it where the database knows no zones."""
    return str(value.astimezone(UTC).replace(tzinfo=None))


def _exact(field: models.DecimalField) -> Convert:
    """Round to the column's places, as Django does where a database has no decimals.

    Everything is called in C; the driver writes the result as text.
    """
    assert field.decimal_places is not None
    places = Decimal(1).scaleb(-field.decimal_places)
    return methodcaller("quantize", places, context=Context(prec=field.max_digits))
