"""Requests as Parquet files, for engines that sum up more than one database can hold.

One file a month, in folders that DuckDB, Spark and ClickHouse read as one table
(``month=2026-11``, Hive's way). Rows are read and written as they come, so memory
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

_ROWS_TOGETHER = 20_000
_PRIVATE = frozenset({"prompt", "error_detail"})
_OF_DECISIONS = (
    "baseline_provider", "baseline_model", "baseline_cost", "routing_saved", "cache_saved",
    "prompt_cache_saved", "quality_score", "explored", "reasoning",
)  # fmt: skip


class ParquetMissing(Exception):
    """The package that writes Parquet is not installed."""


@dataclass(frozen=True, slots=True)
class Written:
    """``month`` is its first day."""

    month: date
    path: Path
    rows: int


def months_between(since: date, until: date) -> Iterator[tuple[date, date]]:
    """First and last day of each month's part of the days from ``since`` to ``until``."""
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
) -> Iterator[Written]:
    """Write the requests of the UTC days ``since`` to ``until``; yields each file that is done.

    A file takes its name once it is whole. ``prompts`` adds what was asked and what went
    wrong in words. ``step`` is told of rows as they are written. Raises
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
    columns += [_Column(decision._meta.get_field(n), "decision__") for n in _OF_DECISIONS]
    schema = _schema(columns)
    for first, last in months_between(since, until):
        place = folder / "requests" / f"month={first:%Y-%m}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{first:%Y%m%d}-{last:%Y%m%d}.parquet"
        part = path.with_suffix(".part")
        written = 0
        with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
            for rows in batched(_rows(first, last, columns), _ROWS_TOGETHER):
                writer.write_table(_table(schema, columns, rows))
                written += len(rows)
                step(len(rows))
        if written:
            part.replace(path)
            yield Written(first, path, written)
        else:
            part.unlink()


@dataclass(frozen=True, slots=True)
class _Column:
    field: Any
    prefix: str

    @property
    def name(self) -> str:
        return str(self.field.name)


def _rows(first: date, last: date, columns: Sequence[_Column]) -> Iterator[tuple[Any, ...]]:
    begins = datetime(first.year, first.month, first.day, tzinfo=UTC)
    ends = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    asked: QuerySet[RequestRecord] = RequestRecord.objects.filter(
        created_at__gte=begins, created_at__lt=ends
    )
    names = [column.prefix + column.name for column in columns]
    return asked.order_by("created_at").values_list(*names).iterator(chunk_size=_ROWS_TOGETHER)


def _schema(columns: Sequence[_Column]) -> Any:
    import pyarrow as pa

    money = pa.decimal128(20, 10)
    kinds: list[tuple[type[models.Field], Any]] = [
        (models.BooleanField, pa.bool_()),
        (models.DecimalField, money),
        (models.FloatField, pa.float64()),
        (models.IntegerField, pa.int64()),
        (models.DateTimeField, pa.timestamp("us", tz="UTC")),
    ]

    def kind(field: Any) -> Any:
        return next((found for of, found in kinds if isinstance(field, of)), pa.string())

    return pa.schema([pa.field(column.name, kind(column.field)) for column in columns])


def _table(schema: Any, columns: Sequence[_Column], rows: Sequence[tuple[Any, ...]]) -> Any:
    import pyarrow as pa

    arrays = []
    for column, found, values in zip(columns, schema, zip(*rows, strict=True), strict=True):
        told: Sequence[Any] = values
        if isinstance(column.field, models.JSONField):
            told = [json.dumps(value, default=str) for value in values]
        elif isinstance(column.field, models.UUIDField):
            told = [str(value) for value in values]
        arrays.append(pa.array(told, type=found.type))
    return pa.Table.from_arrays(arrays, schema=schema)
