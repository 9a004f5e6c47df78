"""A statement as tables for the terminal, JSON, CSV, or HTML to print and send."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.template.loader import render_to_string
from rich.console import Console
from rich.table import Table

from analytics.exports.csv import csv_lines
from analytics.exports.printable import printable
from analytics.money import dollars
from analytics.reports.report_formats import ReportEncoder

_MONEY = {"cost", "baseline_cost", "saved", "routing_saved", "cache_saved", "failed_requests_cost"}
_OVERVIEW = ("name", "requests", "tokens_in", "tokens_out", "cost", "baseline_cost", "saved")
_DETAIL = ("requests", "tokens_in", "tokens_out", "cost", "saved")
INCOMPLETE = "Some requests of this month were pruned, so this statement is incomplete."
"""What every format says of a statement whose requests were deleted."""


def title_of(figures: dict[str, Any]) -> str:
    """Return the title of a statement."""
    subject = f"{figures['by']} {figures['name']}" if "name" in figures else f"all {figures['by']}s"
    return printable(f"Statement of {figures['month']}, {subject}")


def as_json(figures: dict[str, Any]) -> str:
    """Return the statement as JSON; money is a number of USD."""
    return json.dumps(figures, indent=2, cls=ReportEncoder) + "\n"


def as_csv(figures: dict[str, Any]) -> str:
    """Return one line per figure, like the report: section, name, figure, value."""
    lines: list[Sequence[Any]] = [("section", "name", "figure", "value")]
    if "rows" in figures:
        sections = [(figures["by"], figures["rows"], "name")]
    else:
        total = {"name": figures["name"], **figures["total"]}
        sections = [
            ("total", [total], "name"),
            ("model", figures["models"], "model"),
            ("day", figures["days"], "day"),
        ]
    for section, rows, key in sections:
        for row in rows:
            lines += [
                (section, row[key], figure, value) for figure, value in row.items() if figure != key
            ]
    return csv_lines(lines)


def tables_of(figures: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return the tables to show, each as (title, headings, rows)."""
    if "rows" in figures:
        return [_table("", _OVERVIEW, figures["rows"])]
    return [
        _table("Total", _DETAIL, [figures["total"]]),
        _table("By model", ("model", *_DETAIL), figures["models"]),
        _table("By day", ("day", *_DETAIL), figures["days"]),
    ]


def _table(
    title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]
) -> tuple[str, list[str], list[list[str]]]:
    cells = [
        [dollars(row[name]) if name in _MONEY else printable(str(row[name])) for name in columns]
        for row in rows
    ]
    return title, [name.replace("_", " ") for name in columns], cells


def as_table(figures: dict[str, Any], console: Console) -> None:
    """Print the statement to a terminal."""
    console.print(f"{title_of(figures)} (USD, days are UTC)", style="bold")
    console.print(f"Saved compared with: {printable(figures['baseline'])}")
    if figures.get("pruned"):
        console.print(INCOMPLETE, style="yellow")
    for title, headings, rows in tables_of(figures):
        table = Table(title=title or None, title_justify="left")
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def as_html(figures: dict[str, Any]) -> str:
    """Return the statement as one self-contained HTML file."""
    context = {
        "title": title_of(figures),
        "baseline": printable(figures["baseline"]),
        "tables": tables_of(figures),
        "pruned": figures.get("pruned"),
    }
    return render_to_string("analytics/statement.html", context)
