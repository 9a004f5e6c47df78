"""Monthly statements: what each user, tag, session, agent, key, team or project used and saved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from analytics.money import percent
from analytics.reports.breakdown import NONE, breakdown
from analytics.reports.compared import ComparedWith, repriced_rows_by
from analytics.reports.figures import Figures, add_figures, no_figures, saved_of
from analytics.reports.model_days import model_days, model_of, stored_model_days
from analytics.reports.sum_sources import RECORDED

BY = ("user", "tag", "session", "agent", "key", "team", "project")
_SHOWN = ("requests", "failed", "cache_hits", "tokens_in", "tokens_out", "cost", "baseline_cost")


def month_of(text: str) -> tuple[datetime, datetime]:
    """Return the start and the end (not included) of a month like "2026-10", in UTC.

    Raises ``ValueError``.
    """
    start = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    december = start.month == 12
    end_month = 1 if december else start.month + 1
    return start, start.replace(year=start.year + december, month=end_month)


def statements(month: str, by: str, compared: ComparedWith | None = None) -> dict[str, Any]:
    """Return one row per value of ``by``, one of :data:`BY`, most expensive first, in USD.

    Savings are ``compared`` with its baseline, by default the recorded one; ``baseline`` says it
    in words. Raises ``ValueError`` if ``month`` is not a month.
    """
    since, until = month_of(month)
    sums = RECORDED if compared is None else compared.sums()
    rows = breakdown(by, since, until, source=sums)
    return {"month": month, "by": by, "baseline": _name_of(compared), "rows": rows}


def statement(
    month: str, by: str, name: str, compared: ComparedWith | None = None
) -> dict[str, Any]:
    """Return the month of one value of ``by``: total, by model and by day.

    Sums by model are kept for teams, projects, keys and agents; others are read from the requests.
    ``pruned`` says whether requests of the month were deleted that no such sums hold, so that the
    statement is incomplete. Raises ``ValueError`` if ``month`` is not a month.
    """
    span = month_of(month)
    models: dict[str, Figures] = {}
    days: dict[str, Figures] = {}
    total = no_figures()
    value = "" if name == NONE else name
    if compared is None or compared.baseline is None:
        rows, complete = model_days(by, value, span)
    else:
        rows, complete = stored_model_days(by, value, span)
        rows = repriced_rows_by(rows, compared.baseline, by, value, span)
    for (day, model), figures in rows.items():
        for sums, key in ((models, model_of(model)), (days, day.date().isoformat())):
            add_figures(sums.setdefault(key, no_figures()), figures)
        add_figures(total, figures)
    return {
        "month": month,
        "by": by,
        "name": name,
        "baseline": _name_of(compared),
        "total": _row(total),
        "models": [
            {"model": model, **_row(figures)}
            for model, figures in sorted(models.items(), key=lambda m: (-m[1]["cost"], m[0]))
        ],
        "days": [{"day": day, **_row(figures)} for day, figures in sorted(days.items())],
        "pruned": not complete,
    }


def _name_of(compared: ComparedWith | None) -> str:
    return "as recorded" if compared is None else compared.label


def last_month(now: datetime | None = None) -> str:
    """Return the month before this one, like "2026-10"."""
    now = now or datetime.now(UTC)
    return f"{now.year - (now.month == 1)}-{(now.month - 2) % 12 + 1:02d}"


def _row(figures: Figures) -> dict[str, Any]:
    saved = saved_of(figures)
    return {
        **{name: figures[name] for name in _SHOWN},
        "saved": saved,
        "saved_percent": percent(saved, figures["baseline_cost"]),
    }
