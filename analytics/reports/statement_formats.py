"""A statement as a table for the terminal, JSON, CSV, or HTML to be printed and sent."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from django.template.loader import render_to_string
from rich.console import Console
from rich.table import Table

from analytics.exports.csv import csv_cell
from analytics.money import dollars
from analytics.reports.report_formats import ReportEncoder

_MONEY = {"cost", "baseline_cost", "saved", "routing_saved", "cache_saved", "failed_requests_cost"}
_OVERVIEW = ("name", "requests", "tokens_in", "tokens_out", "cost", "baseline_cost", "saved")
_DETAIL = ("requests", "tokens_in", "tokens_out", "cost", "saved")


def title_of(found: dict[str, Any]) -> str:
    """What it is a statement of."""
    whose = f"{found['by']} {found['name']}" if "name" in found else f"every {found['by']}"
    return f"Statement of {found['month']}, {whose}"


def as_json(found: dict[str, Any]) -> str:
    """The statement's own structure; money as numbers of USD."""
    return json.dumps(found, indent=2, cls=ReportEncoder) + "\n"


def as_csv(found: dict[str, Any]) -> str:
    """Long form like the report's: section, name, figure, value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["section", "name", "figure", "value"])
    if "rows" in found:
        sections = [(found["by"], found["rows"], "name")]
    else:
        total = {"name": found["name"], **found["total"]}
        sections = [
            ("total", [total], "name"),
            ("model", found["models"], "model"),
            ("day", found["days"], "day"),
        ]
    for section, rows, key in sections:
        for row in rows:
            for figure, value in row.items():
                if figure != key:
                    writer.writerow([section, csv_cell(row[key]), figure, csv_cell(value)])
    return out.getvalue()


def tables_of(found: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, headings, rows) for people."""
    if "rows" in found:
        return [_table("", _OVERVIEW, found["rows"])]
    return [
        _table("In all", _DETAIL, [found["total"]]),
        _table("By model", ("model", *_DETAIL), found["models"]),
        _table("By day", ("day", *_DETAIL), found["days"]),
    ]


def _table(
    title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]
) -> tuple[str, list[str], list[list[str]]]:
    cells = [
        [dollars(row[name]) if name in _MONEY else str(row[name]) for name in columns]
        for row in rows
    ]
    return title, [name.replace("_", " ") for name in columns], cells


def as_table(found: dict[str, Any], console: Console) -> None:
    """Print it to a terminal."""
    console.print(f"[bold]{title_of(found)}[/bold] (USD, days are UTC)")
    if found.get("pruned"):
        console.print("[yellow]Requests of this month were pruned: this is not all of it.[/yellow]")
    for title, headings, rows in tables_of(found):
        table = Table(title=title or None, title_justify="left")
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def as_html(found: dict[str, Any]) -> str:
    """One file that loads nothing from anywhere."""
    context = {"title": title_of(found), "tables": tables_of(found), "pruned": found.get("pruned")}
    return render_to_string("analytics/statement.html", context)
