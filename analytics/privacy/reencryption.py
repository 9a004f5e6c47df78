"""Encrypt rows that were stored without a key or with an older one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.db import connection, models, transaction

from analytics.encryption import UNREADABLE, EncryptedJSONField, EncryptedTextField
from analytics.models import (
    AlertRule,
    Budget,
    CachedResponse,
    DeferredRequest,
    Digest,
    NotificationChannel,
    ProviderKey,
    RequestRecord,
    StoredFile,
    StoredResponse,
)

Field = EncryptedTextField | EncryptedJSONField
_KINDS = (EncryptedTextField, EncryptedJSONField)
_TABLES: tuple[type[models.Model], ...] = (
    RequestRecord, CachedResponse, StoredResponse, DeferredRequest, StoredFile,
    NotificationChannel, AlertRule, Budget, Digest, ProviderKey,
)  # fmt: skip


def reencrypt(batch_size: int = 500) -> Iterator[tuple[int, int]]:
    """Encrypt every encrypted column with the first key.

    Yield, for each batch, the number of rows read and the number of rows changed. It is safe
    to interrupt this and to run it again.
    """
    for table in _TABLES:
        fields = _encrypted_fields(table)
        last: Any = None
        while rows := _rows_after(table, fields, last, batch_size):
            last = rows[-1][0]
            stale = [key for key, *stored in rows if not all(map(_is_current, fields, stored))]
            yield len(rows), _reencrypt_rows(table, fields, stale)


def _encrypted_fields(table: type[models.Model]) -> list[Field]:
    return [f for f in table._meta.concrete_fields if isinstance(f, _KINDS)]


def _rows_after(
    table: type[models.Model], fields: list[Field], last: Any, count: int
) -> list[tuple[Any, ...]]:
    """Return the next rows in the order of their keys: the key and the columns as stored."""
    quote, meta = connection.ops.quote_name, table._meta
    key = quote(str(meta.pk.column))
    columns = ", ".join([key, *(quote(str(field.column)) for field in fields)])
    where, params = ("", []) if last is None else (f"WHERE {key} > %s", [last])
    sql = f"SELECT {columns} FROM {quote(meta.db_table)} {where} ORDER BY {key} LIMIT %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, count])
        return list(cursor.fetchall())


def _is_current(field: Field, stored: Any) -> bool:
    if stored is None:
        return True
    if isinstance(field, EncryptedTextField):
        return field.is_current(stored)
    return EncryptedJSONField.is_current(json.loads(stored) if isinstance(stored, str) else stored)


def _reencrypt_rows(table: type[models.Model], fields: list[Field], keys: list[Any]) -> int:
    names = [field.name for field in fields]
    with transaction.atomic():
        rows = [
            row
            for row in table._default_manager.select_for_update().filter(pk__in=keys)
            # A value that cannot be decrypted must not be replaced by its placeholder.
            if all(getattr(row, name) != UNREADABLE for name in names)
        ]
        table._default_manager.bulk_update(rows, names)
    return len(rows)
