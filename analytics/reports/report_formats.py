"""A report as a table for the terminal, JSON, CSV or Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.table import Table
from sparklines import sparklines

from analytics.exports.csv import csv_cell
from analytics.money import dollars

_SECTIONS = (
    ("by_strategy", "Strategies"),
    ("by_confidence", "Confidence"),
    ("by_provider", "Providers"),
    ("by_model", "Models"),
)


_PAIR = ("model", "baseline")
_NARROW = ("name", "requests", "cost", "baseline_cost", "saved", "saved_percent")


class ReportEncoder(DjangoJSONEncoder):
    """Money as JSON numbers, like the API."""

    def default(self, o: Any) -> Any:
        return float(o) if isinstance(o, Decimal) else super().default(o)


def as_json(report: dict[str, Any]) -> str:
    """The report's own structure; money as numbers of USD."""
    return json.dumps(report, indent=2, cls=ReportEncoder) + "\n"


def _for_a_terminal(report: dict[str, Any]) -> dict[str, Any]:
    """The breakdown without the columns that eighty characters have no room for."""
    chosen = report.get("breakdown")
    if chosen is None:
        return report
    rows = [{name: row[name] for name in _NARROW} for row in chosen["rows"]]
    return {**report, "breakdown": {**chosen, "rows": rows}}


def _long_sections(
    report: dict[str, Any],
) -> Iterator[tuple[str, list[dict[str, Any]], tuple[str, ...]]]:
    """Section, its rows, and which of their columns name them."""
    yield "by_strategy", report["by_strategy"], ("strategy",)
    yield "by_confidence", report["by_confidence"], ("confidence",)
    yield "by_provider", report["by_provider"], ("provider",)
    yield "by_model", report["by_model"], ("provider", "model")
    yield "answer_lengths", report["answer_lengths"], ("model", "baseline")
    yield "by_day", report["by_day"], ("date",)
    if chosen := report.get("breakdown"):
        yield f"breakdown_{chosen['by']}", chosen["rows"], ("name",)


def as_csv(report: dict[str, Any]) -> str:
    """Long form: section, name, figure, value. One figure a line, so columns never change."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["section", "name", "figure", "value"])
    for section in ("period", "totals", "savings", "adjusted", "cache"):
        for figure, value in report[section].items():
            writer.writerow([section, "", figure, csv_cell(value)])
    for section, rows, names in _long_sections(report):
        for row in rows:
            name = (">" if section == "answer_lengths" else "/").join(
                str(row[key]) for key in names
            )
            for figure, value in row.items():
                if figure not in names:
                    writer.writerow([section, name, figure, csv_cell(value)])
    return out.getvalue()


def headline(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What is asked first, in words and figures; parts of a sum are indented."""
    totals, savings, cache = report["totals"], report["savings"], report["cache"]
    rows = [
        ("Requests", f"{totals['requests']} ({totals['failed']} failed)"),
        ("Spent", dollars(totals["cost"])),
        ("  on failed attempts", dollars(totals["failed_attempts_cost"])),
        (f"Baseline ({report['baseline']})", dollars(savings["baseline_cost"])),
        ("Saved", f"{dollars(savings['total_saved'])} ({savings['percent_saved']} %)"),
        ("  with 95 % confidence", _between(savings["saved_low"], savings["saved_high"])),
        ("  by routing", dollars(savings["routing_saved"])),
        ("  by the cache", dollars(savings["cache_saved"])),
        ("  lost on requests nobody answered", dollars(-savings["failed_requests_cost"])),
        ("  spent on judging answers", dollars(-savings["judging_cost"])),
        ("Saved by providers' prompt caches", dollars(savings["prompt_cache_saved"])),
        *_adjusted(report["adjusted"]),
        *_quality(report["quality"]),
        ("Cache hits", f"{cache['hits']} ({cache['hit_rate_percent']} %)"),
        ("Average latency", f"{totals['avg_latency_ms']:.0f} ms"),
    ]
    if savings["unpriced_requests"]:
        rows.append(("Not compared (price unknown or failed)", str(savings["unpriced_requests"])))
    return rows


def _adjusted(found: dict[str, Any]) -> list[tuple[str, str]]:
    known = f"known for {found['known_percent']} % of the baseline's cost"
    return [
        (
            "Saved, with the baseline's own tokens",
            f"{dollars(found['total_saved'])} ({found['percent_saved']} %)",
        ),
        ("  with 95 % confidence", _between(found["saved_low"], found["saved_high"])),
        ("  token counts", known),
    ]


_VERDICTS = {
    "holds": "holds: no more than {0:g} below the baseline's",
    "falls short": "FALLS SHORT of the baseline's by more than {0:g}",
    "not shown": "NOT SHOWN to be within {0:g} of the baseline's",
}


def _quality(quality: dict[str, Any]) -> list[tuple[str, str]]:
    """Quality stands beside every saving, also where nothing is known of it."""
    rows = [("Quality", _VERDICTS[quality["verdict"]].format(quality["tolerance"]))]
    for label, name in (
        ("  of routed answers", "routed"),
        ("  of the baseline's", "baseline"),
        ("  difference", "difference"),
    ):
        rows.append((label, _mean(quality[name])))
    return rows


def _mean(found: dict[str, Any]) -> str:
    if found["mean"] is None:
        return "not known"
    if found["low"] is None:
        return f"{found['mean']:.3f} ({found['count']} verdicts: too few to say more)"
    return f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f}, {found['count']})"


def _between(low: Decimal | None, high: Decimal | None) -> str:
    if low is None or high is None:
        return "too few requests to say"
    return f"{dollars(low)} to {dollars(high)}"


def sections(report: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The tables that have rows, with their titles."""
    found = [(title, report[section]) for section, title in _SECTIONS]
    found.append(("The baseline's tokens for each of the model's", _known_lengths(report)))
    if chosen := report.get("breakdown"):
        found.append((f"By {chosen['by']}", chosen["rows"]))
    return [(title, rows) for title, rows in found if rows]


def _known_lengths(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Those pairs of models of which something is known, short enough to be read."""
    return [
        {
            "model, baseline": " > ".join(row[name].rsplit("/", 1)[-1] for name in _PAIR),
            "input": f"{row['input_ratio']:.2f}" if row["input_known"] else "–",
            "output": f"{row['output_ratio']:.2f} ({row['output_low']:.2f} to "
            f"{row['output_high']:.2f})"
            if row["output_known"]
            else "–",
        }
        for row in report["answer_lengths"]
        if row["input_known"] or row["output_known"]
    ]


def _trend(report: dict[str, Any]) -> list[tuple[str, str]]:
    days = report["by_day"]
    span = f"{days[0]['date']} to {days[-1]['date']}"

    def spark(figure: str) -> str:
        values = [max(0.0, float(day[figure])) for day in days]
        # The scale starts at zero; of nothing but zeros the package would draw half-high bars.
        return str(sparklines(values, minimum=0, maximum=max(values) or 1)[0])

    return [
        (f"Requests a day, {span}", spark("requests")),
        ("Spent a day", spark("cost")),
        ("Saved a day", spark("saved")),
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    return [dollars(value) if isinstance(value, Decimal) else str(value) for value in row.values()]


def as_table(report: dict[str, Any], console: Console) -> None:
    """Print the report to a terminal."""
    console.print(f"[bold]Routing report, last {report['period']['days']} days[/bold]")
    for label, value in (*headline(report), *_trend(report)):
        console.print(f"  {label:<42} {value}", highlight=False)
    for title, rows in sections(_for_a_terminal(report)):
        table = Table(title=title, title_justify="left")
        for index, heading in enumerate(rows[0]):
            table.add_column(heading.replace("_", " "), justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*_cells(row))
        console.print(table)


def as_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    lines = [f"# Routing report, last {report['period']['days']} days", "", "| | |", "|---|---:|"]
    lines += [
        f"| {label.strip()} | {value} |" for label, value in (*headline(report), *_trend(report))
    ]
    for title, rows in (*sections(report), ("Days", report["by_day"])):
        headings = [heading.replace("_", " ") for heading in rows[0]]
        lines += ["", f"## {title}", "", f"| {' | '.join(headings)} |"]
        lines.append("|" + "---|" * len(headings))
        lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join(lines) + "\n"
