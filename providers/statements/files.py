"""Statements in files: saved answers of the reports, Google's export, and any CSV by a mapping."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from providers.statements import anthropic, google, openai, openrouter
from providers.statements.lines import StatedLine, StatementError, amount_of, in_dollars

COLUMNS = ("day", "model", "key", "item", "amount", "currency", "requests", "tokens_in",
           "tokens_out")  # fmt: skip
"""What a mapping may name."""
_PAGES: dict[str, Callable[[Iterable[Mapping[str, Any]]], Iterator[StatedLine]]] = {
    "openai": openai.read_pages,
    "claude": anthropic.read_pages,
    "openrouter": openrouter.read_pages,
}
_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d")
_FIRST_YEAR, _LAST_YEAR = 2000, 2999


def read_file(
    text: str, provider: str, columns: Mapping[str, str] | None = None, zone: tzinfo = UTC
) -> list[StatedLine]:
    """Return the lines of a file.

    With ``columns`` (our name to the file's), it is CSV. Else it is what the provider's report
    answered, one page or a list of them, or Google's export. Raises :class:`StatementError`.
    """
    try:
        if columns:
            return list(_mapped(csv.DictReader(io.StringIO(text)), columns))
        if provider == "gemini":
            return list(google.read_rows(_google_rows(text), zone))
        if provider not in _PAGES:
            raise StatementError(f"Name the columns of a file of {provider} with --columns.")
        document = json.loads(text, parse_float=Decimal)
        return list(_PAGES[provider](document if isinstance(document, list) else [document]))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StatementError(
            f"The file is no report of {provider}: {type(error).__name__} {str(error)[:100]}. "
            "If it is CSV, name its columns with --columns."
        ) from None


def read_columns(text: str) -> dict[str, str]:
    """Return a mapping written "day=Date,amount=Cost (USD)". Raises :class:`StatementError`."""
    columns = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        if not equals or name.strip() not in COLUMNS:
            raise StatementError(
                f"Cannot read {part!r}. Write name=column with a name of {', '.join(COLUMNS)}."
            )
        columns[name.strip()] = column.strip()
    if "day" not in columns or not {"amount", "tokens_in"} & columns.keys():
        raise StatementError("Name at least the columns of day and amount (or tokens_in).")
    return columns


def _google_rows(text: str) -> list[Mapping[str, Any]]:
    start = text.lstrip()[:1]
    if start == "[":
        rows: list[Mapping[str, Any]] = json.loads(text, parse_float=Decimal)
        return rows
    if start == "{":
        return [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
    return list(csv.DictReader(io.StringIO(text)))


def _mapped(rows: Iterable[Mapping[str, str]], columns: Mapping[str, str]) -> Iterator[StatedLine]:
    for number, row in enumerate(rows, start=2):
        missing = [column for column in columns.values() if column not in row]
        if missing:
            raise StatementError(f"The file has no column {missing[0]!r}.")
        values = {name: (row[column] or "").strip() for name, column in columns.items()}
        if not values["day"]:
            continue  # a line of totals
        in_dollars(values.get("currency", ""))
        try:
            yield StatedLine(
                day=_day(values["day"]),
                model=values.get("model", ""),
                key=values.get("key", ""),
                item=values.get("item", ""),
                amount=amount_of(values["amount"]) if values.get("amount") else None,
                requests=_count(values.get("requests")),
                tokens_in=_count(values.get("tokens_in")),
                tokens_out=_count(values.get("tokens_out")),
            )
        except StatementError as error:
            raise StatementError(f"Line {number}: {error}") from None


def _day(text: str) -> date:
    for form in _FORMATS:
        try:
            day = datetime.strptime(text[:10], form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
        if _FIRST_YEAR <= day.year <= _LAST_YEAR:
            return day
    raise StatementError(f"{text[:40]!r} is no day.")


def _count(text: str | None) -> int | None:
    if not text:
        return None
    count = amount_of(text)
    if count < 0 or count != int(count):
        raise StatementError(f"{text[:40]!r} is no count.")
    return int(count)
