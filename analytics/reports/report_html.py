"""A report as one self-contained HTML file, to mail or to print."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from analytics.exports.printable import printable
from analytics.reports.report_charts import bars_chart, days_chart
from analytics.reports.report_formats import headline, sections

_MOST_BARS = 12


def as_html(report: dict[str, Any]) -> str:
    """Return the report with its charts; the figures are those of every other format."""
    charts = []
    if not report["empty"]:
        charts = [("Spent and saved, day by day", days_chart(report["days"]))]
        charts.append(("Models", bars_chart(report["models"], "Spent and saved by model, USD")))
        if (chosen := report.get("breakdown")) and chosen["by"] not in {"day", "model"}:
            label = f"Spent and saved by {chosen['by']}, USD"
            title = f"By {chosen['by']}"
            charts.append((title, bars_chart(chosen["rows"][:_MOST_BARS], label)))
    return render_to_string(
        "analytics/report.html",
        {
            "report": report,
            "headline": [(label.strip(), value, label != label.strip())
                         for label, value in headline(report)],
            # The SVG is safe: matplotlib escapes the text in it.
            "charts": [(title, mark_safe(svg)) for title, svg in charts],  # noqa: S308
            "sections": [
                (title, _headings(rows[0]), _cells(rows))
                for title, rows in sections(report)
            ],
        },
    )  # fmt: skip


def _headings(row: dict[str, Any]) -> list[tuple[str, bool]]:
    """Return each column's name, and whether the column holds figures."""
    return [(name.replace("_", " "), _is_figure(value)) for name, value in row.items()]


def _cells(rows: list[dict[str, Any]]) -> list[list[tuple[Any, bool]]]:
    """Return each cell, and whether it is a figure."""
    return [
        [(printable(value) if isinstance(value, str) else value, _is_figure(value))
         for value in row.values()]
        for row in rows
    ]  # fmt: skip


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal))
