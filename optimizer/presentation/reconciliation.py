"""A reconciliation as tables, JSON or CSV, for the terminal and the admin alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from analytics.exports.csv import csv_lines
from analytics.exports.printable import printable
from analytics.money import dollars
from analytics.reconciliation.causes import UNEXPLAINED, ReconciledCell
from analytics.reconciliation.matching import Reconciliation

HEADINGS = ("day", "model", "invoice", "ledger", "remainder", "explained by")


def cell_row(cell: ReconciledCell) -> tuple[str, ...]:
    """Return a model's day as it is shown."""
    return (
        cell.day.isoformat(), printable(cell.model or "(no model)"), dollars(cell.invoice),
        dollars(cell.ledger.cost), dollars(cell.remainder), causes_text(cell),
    )  # fmt: skip


def causes_text(cell: ReconciledCell) -> str:
    """Return why the remainder of a cell is there, with its amounts."""
    parts = [f"{cause} {dollars(amount)}" for cause, amount in cell.causes.items() if amount]
    if cell.unexplained:
        parts.append(f"{UNEXPLAINED} {dollars(cell.unexplained)}")
    return ", ".join(parts)


def summary_lines(result: Reconciliation) -> list[str]:
    """Return the sums of a reconciliation in sentences."""
    rate = result.capture_rate
    remainder = dollars(result.invoice - result.ledger)
    lines = [
        f"{result.provider}, {result.since} until before {result.until} ({result.time_zone}):",
        f"Invoice {dollars(result.invoice)}, ledger {dollars(result.ledger)}, remainder "
        + remainder
        + ".",
        f"Capture rate: {'unknown' if rate is None else f'{100 * rate:.2f} %'} of the invoice.",
    ]
    if result.offset is not None:
        lines.append(
            f"The statement's days fit days of UTC{result.offset:+d}: read it with --time-zone."
        )
    lines += [f"  {cause}: {dollars(amount)}" for cause, amount in result.causes.items()]
    return lines


def as_table(results: Sequence[Reconciliation], console: Console) -> None:
    """Print the reconciliations: their sums, and each model's day that differs."""
    for result in results:
        differing = [cell for cell in result.cells if cell.remainder or cell.causes]
        if differing:
            table = Table(*HEADINGS, title=f"{result.provider}: days that differ")
            for cell in differing:
                table.add_row(*cell_row(cell))
            console.print(table)
        for line in summary_lines(result):
            console.print(printable(line), markup=False)


def as_json(results: Sequence[Reconciliation]) -> str:
    """Return the reconciliations as JSON; money is text."""
    return json.dumps([_document(result) for result in results], indent=2) + "\n"


def _document(result: Reconciliation) -> dict[str, Any]:
    return {
        "provider": result.provider,
        "since": result.since.isoformat(),
        "until": result.until.isoformat(),
        "time_zone": result.time_zone,
        "fits_utc_offset": result.offset,
        "invoice": f"{result.invoice:.10f}",
        "ledger": f"{result.ledger:.10f}",
        "remainder": f"{result.invoice - result.ledger:.10f}",
        "capture_rate": result.capture_rate,
        "missing_percent": result.missing_percent,
        "causes": {cause: f"{amount:.10f}" for cause, amount in result.causes.items()},
        "cells": [
            {
                "day": cell.day.isoformat(), "model": cell.model, "invoice": f"{cell.invoice:.10f}",
                "ledger": f"{cell.ledger.cost:.10f}", "remainder": f"{cell.remainder:.10f}",
                "ledger_requests": cell.ledger.requests, "stated_requests": cell.stated_requests,
                "ledger_tokens": cell.ledger.tokens, "stated_tokens": cell.stated_tokens,
                "causes": {cause: f"{amount:.10f}" for cause, amount in cell.causes.items()},
                "unexplained": f"{cell.unexplained:.10f}",
            }
            for cell in result.cells
        ],
    }  # fmt: skip


def as_csv(results: Sequence[Reconciliation]) -> str:
    """Return one line per model's day and cause."""
    lines: list[Sequence[Any]] = [
        ("provider", "day", "model", "invoice", "ledger", "remainder", "cause", "amount")
    ]
    for result in results:
        for cell in result.cells:
            left = {UNEXPLAINED: cell.unexplained} if cell.unexplained else {}
            for cause, amount in ({**cell.causes, **left} or {"": cell.remainder}).items():
                lines.append((
                    result.provider, cell.day.isoformat(), cell.model, cell.invoice,
                    cell.ledger.cost, cell.remainder, cause, amount,
                ))  # fmt: skip
    return csv_lines(lines)
