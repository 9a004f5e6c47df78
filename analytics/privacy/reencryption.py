"""Encrypting what was stored before there was a key, or with another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db import connection, models, transaction

from analytics.encryption import UNREADABLE, EncryptedJSONField, EncryptedTextField, is_current
from analytics.models import CachedResponse, RequestRecord

Field = EncryptedTextField | EncryptedJSONField
_KINDS = (EncryptedTextField, EncryptedJSONField)
_TABLES: tuple[type[models.Model], ...] = (RequestRecord, CachedResponse)


def reencrypt(batch_size: int = 500) -> Iterator[tuple[int, int]]:
    """Store every encrypted column anew with the first key; yields, batch by batch, how many
    rows were looked at and how many of them changed. May be cut off and repeated.
    """
    for table in _TABLES:
        fields = _fields(table)
        last: Any = None
        while rows := _after(table, fields, last, batch_size):
            last = rows[-1][0]
            stale = [key for key, *stored in rows if not all(map(_current, fields, stored))]
            yield len(rows), _store_anew(table, fields, stale)


def _fields(table: type[models.Model]) -> list[Field]:
    return [f for f in table._meta.concrete_fields if isinstance(f, _KINDS)]


def _after(
    table: type[models.Model], fields: list[Field], last: Any, count: int
) -> list[tuple[Any, ...]]:
    """Keys and what is really stored, in the order of keys."""
    quote, meta = connection.ops.quote_name, table._meta
    key = quote(str(meta.pk.column))
    columns = ", ".join([key, *(quote(str(field.column)) for field in fields)])
    where, params = ("", []) if last is None else (f"WHERE {key} > %s", [last])
    sql = f"SELECT {columns} FROM {quote(meta.db_table)} {where} ORDER BY {key} LIMIT %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, count])
        return list(cursor.fetchall())


def _current(field: Field, stored: Any) -> bool:
    if stored is None:
        return True
    if isinstance(field, EncryptedTextField):
        return is_current(stored)
    return EncryptedJSONField.is_current(json.loads(stored) if isinstance(stored, str) else stored)


def _store_anew(table: type[models.Model], fields: list[Field], keys: list[Any]) -> int:
    names = [field.name for field in fields]
    with transaction.atomic():
        rows = [
            row
            for row in table._default_manager.select_for_update().filter(pk__in=keys)
            # What cannot be read must not be replaced by the words that say so.
            if all(getattr(row, name) != UNREADABLE for name in names)
        ]
        table._default_manager.bulk_update(rows, names)
    return len(rows)
