"""One statement for many lines, given to the driver as it takes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import connections


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
