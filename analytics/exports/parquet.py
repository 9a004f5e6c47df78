"""Requests as Parquet files, for analytics engines.

There is one file per month, in folders that DuckDB, Spark and ClickHouse read as one
table (Hive partitions: ``month=2026-11``). Rows are read and written in batches, so memory
does not grow with the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import models
from django.db.models import QuerySet

from analytics.database.batcher import batched
from analytics.models import RequestRecord

_BATCH_SIZE = 20_000
_PRIVATE = frozenset({"prompt", "error_detail"})
_DECISION_FIELDS = (
    "baseline_provider", "baseline_model", "baseline_cost", "routing_saved", "cache_saved",
    "prompt_cache_saved", "quality_score", "explored", "reasoning",
)  # fmt: skip


class ParquetMissing(Exception):
    """The package that writes Parquet is not installed."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that was written; ``month`` is the first day that it covers."""

    month: date
    path: Path
    rows: int


def months_between(since: date, until: date) -> Iterator[tuple[date, date]]:
    """Yield the first and last day of each month's part of the days ``since`` to ``until``."""
    first = since
    while first <= until:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield first, min(until, following - timedelta(days=1))
        first = following


def export_requests(
    folder: Path,
    since: date,
    until: date,
    *,
    prompts: bool = False,
    step: Callable[[int], object] = lambda rows: None,
) -> Iterator[ExportedFile]:
    """Write the requests of the UTC days ``since`` to ``until``; yield each finished file.

    A file gets its final name once it is complete. ``prompts`` adds the prompts and the
    details of errors. ``step`` is called with the number of rows of each batch. Raises
    :class:`ParquetMissing` and ``OSError``.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise ParquetMissing("pip install -r requirements/export.txt") from None
    columns = [_Column(field, "") for field in RequestRecord._meta.concrete_fields
               if prompts or field.name not in _PRIVATE]  # fmt: skip
    decision = RequestRecord._meta.get_field("decision").related_model
    assert isinstance(decision, type)
    columns += [_Column(decision._meta.get_field(n), "decision__") for n in _DECISION_FIELDS]
    schema = _schema(columns)
    for first, last in months_between(since, until):
        directory = folder / "requests" / f"month={first:%Y-%m}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{first:%Y%m%d}-{last:%Y%m%d}.parquet"
        part = path.with_suffix(".part")
        written = 0
        with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
            for rows in batched(_rows(first, last, columns), _BATCH_SIZE):
                writer.write_table(_table(schema, columns, rows))
                written += len(rows)
                step(len(rows))
        if written:
            part.replace(path)
            yield ExportedFile(first, path, written)
        else:
            part.unlink()


@dataclass(frozen=True, slots=True)
class _Column:
    """A field of a request, or of its decision with the ``prefix`` of its relation."""

    field: Any
    prefix: str

    @property
    def name(self) -> str:
        return str(self.field.name)


def _rows(first: date, last: date, columns: Sequence[_Column]) -> Iterator[tuple[Any, ...]]:
    begins = datetime(first.year, first.month, first.day, tzinfo=UTC)
    ends = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    requests: QuerySet[RequestRecord] = RequestRecord.objects.filter(
        created_at__gte=begins, created_at__lt=ends
    )
    names = [column.prefix + column.name for column in columns]
    return requests.order_by("created_at").values_list(*names).iterator(chunk_size=_BATCH_SIZE)


def _schema(columns: Sequence[_Column]) -> Any:
    import pyarrow as pa

    money = pa.decimal128(20, 10)
    types: list[tuple[type[models.Field], Any]] = [
        (models.BooleanField, pa.bool_()),
        (models.DecimalField, money),
        (models.FloatField, pa.float64()),
        (models.IntegerField, pa.int64()),
        (models.DateTimeField, pa.timestamp("us", tz="UTC")),
    ]

    def arrow_type(field: Any) -> Any:
        return next((type_ for class_, type_ in types if isinstance(field, class_)), pa.string())

    return pa.schema([pa.field(column.name, arrow_type(column.field)) for column in columns])


def _table(schema: Any, columns: Sequence[_Column], rows: Sequence[tuple[Any, ...]]) -> Any:
    import pyarrow as pa

    arrays = []
    for column, field, values in zip(columns, schema, zip(*rows, strict=True), strict=True):
        cells: Sequence[Any] = values
        if isinstance(column.field, models.JSONField):
            cells = [json.dumps(value, default=str) for value in values]
        elif isinstance(column.field, models.UUIDField):
            cells = [str(value) for value in values]
        arrays.append(pa.array(cells, type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
