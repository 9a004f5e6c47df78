"""Statements in files: saved answers of the reports, Google's export, and any CSV by a mapping."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from providers.statements import anthropic, google, openai, openrouter
from providers.statements.lines import StatedLine, StatementError, in_dollars
from providers.statements.numbers import Written, decimal_mark, number_of

COLUMNS = ("day", "model", "key", "item", "amount", "currency", "requests", "tokens_in",
           "tokens_out")  # fmt: skip
"""What a mapping may name."""
_NUMBERS = ("amount", "requests", "tokens_in", "tokens_out")
_PAGES: dict[str, Callable[[Iterable[Mapping[str, Any]]], Iterator[StatedLine]]] = {
    "openai": openai.read_pages,
    "claude": anthropic.read_pages,
    "openrouter": openrouter.read_pages,
}
_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y%m%d")
_MONTH_FIRST, _DAY_FIRST = "%m/%d/%Y", "%d/%m/%Y"
_FIRST_YEAR, _LAST_YEAR = 2000, 2999


def read_file(
    text: str,
    provider: str,
    columns: Mapping[str, str] | None = None,
    zone: tzinfo = UTC,
    decimal: str = "",
) -> list[StatedLine]:
    """Return the lines of a file.

    With ``columns`` (our name to the file's), it is CSV, whose decimals begin with ``decimal``
    ("." or ","); without it, with what all of its numbers allow. Else it is what the provider's
    report answered, one page or a list of them, or Google's export. Raises
    :class:`StatementError`.
    """
    try:
        if columns:
            return list(_mapped(list(csv.DictReader(io.StringIO(text))), columns, decimal))
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


def _mapped(
    rows: Sequence[Mapping[str, str]], columns: Mapping[str, str], decimal: str
) -> Iterator[StatedLine]:
    lines = list(_named(rows, columns))
    mark = decimal_mark(
        (
            Written(number, values[name], name != "amount")
            for number, values in lines
            for name in _NUMBERS
            if values.get(name)
        ),
        decimal,
    )

    slashed = _slashed_form([(number, values["day"]) for number, values in lines])

    def count(number: int, text: str | None) -> int | None:
        return int(_count(number, text, mark)) if text else None

    for number, values in lines:
        in_dollars(values.get("currency", ""))
        try:
            yield StatedLine(
                day=_day(values["day"], slashed),
                model=values.get("model", ""),
                key=values.get("key", ""),
                item=values.get("item", ""),
                amount=(
                    number_of(Written(number, values["amount"]), mark)
                    if values.get("amount")
                    else None
                ),
                requests=count(number, values.get("requests")),
                tokens_in=count(number, values.get("tokens_in")),
                tokens_out=count(number, values.get("tokens_out")),
            )
        except StatementError as error:
            raise StatementError(f"Line {number}: {error}") from None


def _named(
    rows: Iterable[Mapping[str, str]], columns: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each line of a day, and its values by our names."""
    for number, row in enumerate(rows, start=2):
        missing = [column for column in columns.values() if column not in row]
        if missing:
            raise StatementError(f"The file has no column {missing[0]!r}.")
        values = {name: (row[column] or "").strip() for name, column in columns.items()}
        if values["day"]:  # a line without one has totals
            yield number, values


def _slashed_form(days: Iterable[tuple[int, str]]) -> str:
    """Return whether month or day comes first where slashes part them: what all lines allow.

    Raises :class:`StatementError` if the lines allow both or neither.
    """
    unclear, forms = "", {_MONTH_FIRST, _DAY_FIRST}
    for number, text in days:
        if any(_parsed(text, form) for form in _FORMATS):
            continue
        read = {form: _parsed(text, form) for form in (_MONTH_FIRST, _DAY_FIRST)}
        known = {form for form, day in read.items() if day is not None}
        if known and not forms & known:
            raise StatementError(f"Line {number}: {text[:40]!r} is written unlike days before it.")
        forms &= known or forms
        if len(set(read.values())) > 1:
            unclear = unclear or f"Line {number}: {text[:40]!r}"
    if unclear and len(forms) > 1:
        raise StatementError(
            f"{unclear} has two meanings, and no other day of the file decides. Write days like "
            "2026-11-05."
        )
    return _MONTH_FIRST if _MONTH_FIRST in forms else _DAY_FIRST


def _parsed(text: str, form: str) -> date | None:
    try:
        day = datetime.strptime(text[:10].strip(), form).date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None
    return day if _FIRST_YEAR <= day.year <= _LAST_YEAR else None


def _day(text: str, slashed: str) -> date:
    for form in (*_FORMATS, slashed):
        if (day := _parsed(text, form)) is not None:
            return day
    raise StatementError(f"{text[:40]!r} is no day.")


def _count(line: int, text: str, mark: str) -> Decimal:
    count = number_of(Written(line, text, whole=True), mark)
    if count < 0:
        raise StatementError(f"{text[:40]!r} is no count.")
    return count
