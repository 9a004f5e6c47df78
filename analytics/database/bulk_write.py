"""Writes many rows with one SQL statement that is built once.

The ORM builds the statement of each ``bulk_create`` again, field by field and row by row,
which took two thirds of the time of a ledger commit. The values in the columns are the same:
the same fields convert them. Only text that looks encrypted is stored as it stands, where a
field would decrypt it first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import lru_cache
from operator import attrgetter, itemgetter, methodcaller
from types import NoneType
from typing import Any, Generic, TypeVar

import orjson
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, connections, models
from django.db.models.base import ModelState

from analytics.encryption import EncryptedTextField, encrypt


def execute_many(sql: str, lines: Sequence[Sequence[Any]]) -> None:
    """Execute ``sql`` once for each of ``lines``, in the caller's transaction.

    ``sql`` has ``%s`` for values, and no other ``%``. Raises Django's database errors.
    """
    if not lines:
        return
    own = connections["default"]  # once: each look-up of the thread's connection takes time
    if own.vendor != "sqlite" or own.queries_logged:
        with own.cursor() as cursor:
            cursor.executemany(sql, lines)
        return
    # Django searches for placeholders again each time, which took longer than the insert.
    own.ensure_connection()
    with own.wrap_database_errors:
        own.connection.executemany(_with_question_marks(sql), lines)


def first_row(sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """Return the first row that ``sql`` reads, in the caller's transaction, ``None`` for none.

    For small look-ups in every commit; ``sql`` is as for :func:`execute_many`.
    """
    own = connections["default"]
    if own.vendor != "sqlite" or own.queries_logged:
        with own.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchone()  # type: ignore[no-any-return]
    own.ensure_connection()
    with own.wrap_database_errors:
        return own.connection.execute(_with_question_marks(sql), values).fetchone()  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def _with_question_marks(sql: str) -> str:
    return sql.replace("%s", "?")


Row = TypeVar("Row", bound=models.Model)
Convert = Callable[[Any], Any]


def values_reader(names: Sequence[str]) -> Callable[[models.Model], tuple[Any, ...]]:
    """Return a function that reads at least two attributes of a row, by their names.

    Nearly all rows have all of their values loaded, where they are found faster.
    """
    loaded, any_way = itemgetter(*names), attrgetter(*names)

    def values_of(row: models.Model) -> tuple[Any, ...]:
        try:
            return loaded(row.__dict__)  # type: ignore[no-any-return]
        except KeyError:
            return any_way(row)  # type: ignore[no-any-return]

    return values_of


class RowWriter(Generic[Row]):
    """Inserts rows of ``table``, whose keys are set by the caller or by the database.

    A row whose ``unique`` column has the value of an existing row replaces it, in all columns
    except ``kept``.
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
        self._values = values_reader([field.attname for field in self._fields])
        self._made: dict[tuple[str, bool], tuple[str, list[tuple[int, Convert]]]] = {}
        # What is to be converted, by the types of a row: most values are as the driver takes them.
        self._needed: dict[tuple[Any, ...], list[tuple[int, Convert]]] = {}

    def write(self, rows: Iterable[Row]) -> None:
        """Write ``rows``, in the caller's transaction."""
        kind = connection.vendor, bool(settings.ENCRYPTION_KEYS)
        if kind not in self._made:
            pairs = ((place, _convert(field)) for place, field in enumerate(self._fields))
            self._made[kind] = self._sql(), [(p, convert) for p, convert in pairs if convert]
        sql, converts = self._made[kind]
        lines = []
        for row in rows:
            values = self._values(row)
            line, types = list(values), (*map(type, values), *kind)
            if (needed := self._needed.get(types)) is None:
                needed = self._needed[types] = [
                    (place, convert)
                    for place, convert in converts
                    if types[place] not in {NoneType, convert}
                ]
            for place, convert in needed:
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
    """Return a function that makes a row of ``table`` from its attributes by name.

    It does what ``table(**values)`` does in a quarter of the time, as it computes the constant
    defaults only once. It raises ``TypeError`` for an unknown attribute.
    """
    constants: dict[str, Any] = {}
    factories: list[tuple[str, Callable[[], Any]]] = []
    for field in table._meta.concrete_fields:
        if callable(field.default) and field.has_default():
            factories.append((field.attname, field.default))
        elif field.has_db_default() and not field.has_default():
            factories.append((field.attname, field.get_default))
        else:
            constants[field.attname] = field.get_default()
    known = len(constants) + len(factories)

    def make(values: Mapping[str, Any]) -> Row:
        row = table.__new__(table)
        columns = {**constants, **values}
        for name, default in factories:
            if name not in values:
                columns[name] = default()
        if len(columns) != known:
            raise TypeError(f"{table.__name__} has no {sorted(columns.keys() - _names_of(table))}")
        columns["_state"] = ModelState()
        row.__dict__ = columns
        return row

    return make


def _names_of(table: type[models.Model]) -> set[str]:
    return {field.attname for field in table._meta.concrete_fields}


_PLAIN: dict[type[models.Field], Convert] = {
    models.PositiveIntegerField: int,
    models.PositiveBigIntegerField: int,
    models.BigIntegerField: int,
    models.FloatField: float,
    models.BooleanField: bool,
    # A choice is a subclass of string that not every driver accepts.
    models.CharField: str,
    models.TextField: str,
}


def _convert(field: models.Field) -> Convert | None:
    """Return the converter from an attribute to the driver's value, ``None`` if none is needed."""
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
        return in_utc
    if connection.vendor == "sqlite" and type(field) is models.JSONField:
        return _json_text((field.encoder or json.JSONEncoder)())
    return lambda value: field.get_db_prep_save(value, connection)


_HEX = attrgetter("hex")


@lru_cache(maxsize=64)  # the rows of a request have the same time
def in_utc(value: datetime) -> str:
    """Return a time as Django writes it to a database without time zones."""
    return str(value.astimezone(UTC).replace(tzinfo=None))


_as_django_does = DjangoJSONEncoder().default


def json_value(value: Any) -> Any:
    """Return what Django's encoder makes of a value that JSON lacks; mostly it is an amount."""
    return str(value) if type(value) is Decimal else _as_django_does(value)


def _json_text(slow: json.JSONEncoder) -> Convert:
    """Return a function that writes JSON, in a fifth of the time where ``orjson`` can do it."""
    default = json_value if type(slow) is DjangoJSONEncoder else slow.default

    def text(value: Any) -> str:
        if value == [] and type(value) is list:
            return "[]"
        try:
            return orjson.dumps(value, default=default).decode()
        except TypeError:  # of numbers above 64 bits and halves of characters
            return slow.encode(value)

    return text


def _exact(field: models.DecimalField) -> Convert:
    """Return a function that rounds to the column's places, as Django does without SQL decimals.

    Every step of it is C code; the driver writes the result as text.
    """
    assert field.decimal_places is not None
    places = Decimal(1).scaleb(-field.decimal_places)
    return methodcaller("quantize", places, context=Context(prec=field.max_digits))
