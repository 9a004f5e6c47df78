"""Rows as streamed CSV; memory stays constant for any number of rows."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse

_CHUNK = 2000
# A spreadsheet reads a cell that begins with one of these as a formula, some of them after
# spaces or in their wide form. The guard itself is guarded, so that it can be taken off again.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
GUARD = "'"


def csv_response(
    rows: QuerySet[Any], columns: Sequence[str], filename: str
) -> StreamingHttpResponse:
    """Return a download of ``columns`` of ``rows``, with a header line."""
    return StreamingHttpResponse(
        _lines(rows, columns),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


async def _lines(rows: QuerySet[Any], columns: Sequence[str]) -> AsyncIterator[str]:
    yield csv_lines([columns])
    # Not aiterator(), which opens the cursor of a values_list on the event loop.
    cursor = rows.values_list(*columns).iterator(chunk_size=_CHUNK)
    while True:
        chunk = await sync_to_async(lambda: list(islice(cursor, _CHUNK)))()
        yield csv_lines(chunk)
        if len(chunk) < _CHUNK:
            return


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV (RFC 4180), each cell by :func:`csv_cell`."""
    buffer = io.StringIO()
    # With this end of lines, the writer quotes both of its characters wherever they are.
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def csv_cell(value: Any) -> Any:
    """Return ``value`` as a cell: exact money, ISO times, and no text that acts as a formula.

    Numbers stay as they are, negative ones too. Text that may act begins with an apostrophe.
    """
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool | int | float):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    text = str(value).replace("\0", "")
    if text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS):
        return GUARD + text
    return text
