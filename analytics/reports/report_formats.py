"""A report as tables for the terminal, JSON, CSV or Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.table import Table
from sparklines import sparklines

from analytics.exports.csv import csv_lines
from analytics.exports.markdown import markdown_row
from analytics.money import dollars

_SECTIONS = (
    ("by_strategy", "Strategies"),
    ("by_confidence", "Confidence"),
    ("by_provider", "Providers"),
    ("by_model", "Models"),
)
_REASONS = 6
_PAIR = ("model", "baseline")
_NARROW = ("name", "requests", "cost", "baseline_cost", "saved", "saved_percent")


class ReportEncoder(DjangoJSONEncoder):
    """Encodes money as JSON numbers, like the API."""

    def default(self, o: Any) -> Any:
        """Return ``o`` as a value that JSON has."""
        return float(o) if isinstance(o, Decimal) else super().default(o)


def as_json(report: dict[str, Any]) -> str:
    """Return the report as JSON; money is a number of USD."""
    return json.dumps(report, indent=2, cls=ReportEncoder) + "\n"


def _for_a_terminal(report: dict[str, Any]) -> dict[str, Any]:
    """Drop the columns of the breakdown that do not fit into eighty characters."""
    chosen = report.get("breakdown")
    if chosen is None:
        return report
    rows = [{name: row[name] for name in _NARROW} for row in chosen["rows"]]
    return {**report, "breakdown": {**chosen, "rows": rows}}


def _long_sections(
    report: dict[str, Any],
) -> Iterator[tuple[str, list[dict[str, Any]], tuple[str, ...]]]:
    """Yield each section: its name, its rows, and the columns that name a row."""
    yield "by_strategy", report["by_strategy"], ("strategy",)
    yield "by_confidence", report["by_confidence"], ("confidence",)
    yield "by_provider", report["by_provider"], ("provider",)
    yield "by_model", report["by_model"], ("provider", "model")
    yield "by_basis", report["by_basis"], ("basis",)
    yield "answer_lengths", report["answer_lengths"], ("model", "baseline")
    yield "by_day", report["by_day"], ("date",)
    yield "levers", report["levers"], ("lever",)
    yield "refusals", report["refusals"]["by_reason"], ("reason", "http_status")
    if chosen := report.get("breakdown"):
        yield f"breakdown_{chosen['by']}", chosen["rows"], ("name",)


def as_csv(report: dict[str, Any]) -> str:
    """Return one line per figure: section, name, figure, value.

    With this long form, the columns are the same for every report.
    """
    lines: list[Sequence[Any]] = [("section", "name", "figure", "value")]
    for section in ("period", "totals", "savings", "adjusted", "cache", "keep_alive", "moves_up"):
        lines += [(section, "", figure, value) for figure, value in report[section].items()]
    for section, rows, names in _long_sections(report):
        for row in rows:
            name = (">" if section == "answer_lengths" else "/").join(
                str(row[key]) for key in names
            )
            lines += [
                (section, name, figure, value)
                for figure, value in row.items()
                if figure not in names
            ]
    return csv_lines(lines)


def headline(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the main figures as (label, text); the labels of parts are indented."""
    totals, savings, cache = report["totals"], report["savings"], report["cache"]
    rows = [
        ("Requests", f"{totals['requests']} ({totals['failed']} failed)"),
        ("Spent", dollars(totals["cost"])),
        ("  on failed attempts", dollars(totals["failed_attempts_cost"])),
        (f"Baseline ({report['baseline']})", dollars(savings["baseline_cost"])),
        *_not_compared(savings),
        ("Saved", f"{dollars(savings['total_saved'])} ({savings['percent_saved']} %)"),
        *_intervals(savings),
        ("  by routing", dollars(savings["routing_saved"])),
        ("  by the cache", dollars(savings["cache_saved"])),
        ("  lost on failed requests", dollars(-savings["failed_requests_cost"])),
        ("  spent on judging answers", dollars(-savings["judging_cost"])),
        ("Saved by prompt caches (not in the total)", dollars(savings["prompt_cache_saved"])),
        (
            "  where this service asked for them",
            dollars(report["prompt_cache"]["saved_by_own_marks"]),
        ),
        *_kept(report["keep_alive"]),
        *_moves(report["moves_up"]),
        *_adjusted(report["adjusted"]),
        *_bases(report["by_basis"]),
        *_quality(report["quality"]),
        *_shadow(report["shadow"]),
        ("Cache hits", f"{cache['hits']} ({cache['hit_rate_percent']} %)"),
        ("Average latency", f"{totals['avg_latency_ms']:.0f} ms"),
    ]
    if text := refused_text(report["refusals"]):
        rows.append(("Refused (in no other figure)", text))
    return rows


def _kept(kept: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what it cost to keep prompt caches, and what that saved, if any were kept."""
    if not kept["calls"]:
        return []
    return [
        ("  spent on keeping them alive", f"{dollars(kept['cost'])} ({kept['calls']} calls)"),
        ("  read by turns that came later", f"{dollars(kept['saved'])} ({kept['turns']} turns)"),
    ]


def _moves(moves: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what came of agents that went round in circles, if any did."""
    names = {
        "moved": "Circling sessions moved up",
        "stayed_by_lot": "  not moved, by lot",
        "stayed": "  not moved, for other reasons",
    }
    rows = []
    for name, label in names.items():
        if moves[name]:
            judged, progressed = moves[f"{name}_judged"], moves[f"{name}_progressed"]
            rows.append((label, f"{moves[name]}: {progressed} of {judged} judged went on"))
    if moves["moved"]:
        rows.append(("  what the moves cost", dollars(moves["extra_cost"])))
    return rows


def _shadow(shadow: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what routing would have answered where clients named a model, if that was tried."""
    if not shadow["pairs"]:
        return []
    saved = shadow["saved_percent"]
    return [
        ("Named models, answered by routing too", f"{shadow['pairs']} pairs (manage.py shadow)"),
        ("  routing's share of verdicts", _mean(shadow["score"])),
        ("  cost saved", "unknown" if saved is None else f"{saved:g} %"),
    ]


def _not_compared(savings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return how many requests the baseline and the saving leave out, if any."""
    count = savings["unpriced_requests"]
    return [("  not compared (failed, no price, no baseline)", str(count))] if count else []


def _bases(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return how the costs are known, if any are."""
    if not rows:
        return []
    parts = [f"{row['basis']} {dollars(row['total_cost'])} ({row['count']})" for row in rows]
    return [("Basis of the costs", ", ".join(parts))]


def refused_text(refusals: dict[str, Any]) -> str:
    """Return how many requests were refused and why, "" if none were."""
    if not refusals["requests"]:
        return ""
    reasons = ", ".join(
        f"{row['reason']} {row['requests']}" for row in refusals["by_reason"][:_REASONS]
    )
    more = len(refusals["by_reason"]) - _REASONS
    return f"{refusals['requests']}: {reasons}" + (f", and {more} more" if more > 0 else "")


def _adjusted(adjusted: dict[str, Any]) -> list[tuple[str, str]]:
    known = f"known for {adjusted['known_percent']} % of the baseline's cost"
    return [
        (
            "Saved, with the baseline's own tokens",
            f"{dollars(adjusted['total_saved'])} ({adjusted['percent_saved']} %)",
        ),
        (_INTERVAL, _between(adjusted["saved_low"], adjusted["saved_high"])),
        ("  baseline's token counts", known),
    ]


_INTERVAL = "  expected, with 95 % confidence"


def _intervals(savings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the interval of the expected savings and of the next ones, or why there is none."""
    if savings["saved_low"] is None:
        return [(_INTERVAL, f"not known: {savings['no_interval']}")]
    expected = _between(savings["saved_low"], savings["saved_high"])
    return [
        (_INTERVAL, f"{expected} (varies by {savings['varies_by']})"),
        ("  as many new requests, with 95 %",
         _between(savings["next_saved_low"], savings["next_saved_high"])),
    ]  # fmt: skip


_VERDICTS = {
    "holds": "holds: at most {0:g} below the baseline's",
    "falls short": "FALLS SHORT: more than {0:g} below the baseline's",
    "not shown": "NOT SHOWN to be at most {0:g} below the baseline's",
}


def _quality(quality: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rows on quality, which every report of savings shows, even if it is unknown."""
    rows = [("Quality", _VERDICTS[quality["verdict"]].format(quality["tolerance"]))]
    for label, name in (
        ("  routed answers", "routed"),
        ("  the baseline's answers", "baseline"),
        ("  difference", "difference"),
    ):
        rows.append((label, _mean(quality[name])))
    if quality["basis"] == "nothing":
        rows.append(("  why unknown", _NO_QUALITY))
    return rows


_NO_QUALITY = (
    "too few answers were compared with the baseline's (JUDGE_MODEL), and ratings need chance in "
    "the choice of models (EXPLORATION_RATE)"
)


def _mean(mean: dict[str, Any]) -> str:
    if mean["mean"] is None:
        return "unknown"
    if mean["low"] is None:
        return f"{mean['mean']:.3f} ({mean['count']} verdicts, too few for an interval)"
    interval = f"{mean['low']:.3f} to {mean['high']:.3f}"
    return f"{mean['mean']:.3f} ({interval}, {mean['count']} verdicts)"


def _between(low: Decimal | None, high: Decimal | None) -> str:
    if low is None or high is None:
        return "not known"
    return f"{dollars(low)} to {dollars(high)}"


def sections(report: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the tables that have rows, with their titles."""
    tables = [(title, report[section]) for section, title in _SECTIONS]
    tables.append(("Baseline tokens per token of the model", _known_lengths(report)))
    tables.append(("Levers, with what each saved", _levers(report)))
    tables.append(("Refusals", report["refusals"]["by_reason"]))
    if chosen := report.get("breakdown"):
        tables.append((f"By {chosen['by']}", chosen["rows"]))
    return [(title, rows) for title, rows in tables if rows]


_PARTS = {
    "sum": "sum of levers",
    "remainder": "beyond the sum",
    "total": "all together",
}


def _levers(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each lever saved, in short columns."""
    return [
        {
            "lever": _PARTS.get(row["lever"], row["lever"]),
            "saved": "not known" if row["saved"] is None else dollars(row["saved"]),
            "95 %": _between(row["saved_low"], row["saved_high"]),
            "quality": _points(row.get("quality")),
        }
        for row in report["levers"]
    ]


def _points(difference: list[float] | None) -> str:
    if difference is None:
        return "–"
    value, low, high = (f"{one:+.3f}" for one in difference)
    return f"{value} ({low} to {high})"


def _known_lengths(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pairs of models with a known ratio, in short columns."""
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
        # The scale starts at zero. For all zeros, the package would draw half-high bars.
        return str(sparklines(values, minimum=0, maximum=max(values) or 1)[0])

    return [
        (f"Requests per day, {span}", spark("requests")),
        ("Spent per day", spark("cost")),
        ("Saved per day", spark("saved")),
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    return [dollars(value) if isinstance(value, Decimal) else str(value) for value in row.values()]


def as_table(report: dict[str, Any], console: Console) -> None:
    """Print the report to a terminal."""
    console.print(f"Routing report, last {report['period']['days']} days", style="bold")
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
    """Return the report as Markdown tables."""
    lines = [f"# Routing report, last {report['period']['days']} days", "", "| | |", "|---|---:|"]
    lines += [markdown_row(pair) for pair in (*headline(report), *_trend(report))]
    for title, rows in (*sections(report), ("Days", report["by_day"])):
        headings = [heading.replace("_", " ") for heading in rows[0]]
        lines += ["", f"## {title}", "", markdown_row(headings)]
        lines.append("|" + "---|" * len(headings))
        lines += [markdown_row(_cells(row)) for row in rows]
    return "\n".join(lines) + "\n"
