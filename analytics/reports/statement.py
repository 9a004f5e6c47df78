"""A month's statement: what each user or tag used, cost and saved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from analytics.money import percent
from analytics.reports.breakdown import NONE, breakdown
from analytics.reports.figures import Figures, add_figures, no_figures, saved_of
from analytics.reports.summing import rows_by

BY = ("user", "tag")
_SHOWN = ("requests", "failed", "cache_hits", "tokens_in", "tokens_out", "cost", "baseline_cost")


def month_of(text: str) -> tuple[datetime, datetime]:
    """Start and end (not included), UTC, of "2026-10". Raises ``ValueError``."""
    start = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    later = start.month == 12
    return start, start.replace(year=start.year + later, month=1 if later else start.month + 1)


def statements(month: str, by: str) -> dict[str, Any]:
    """One row a user or tag, dearest first; USD. Raises ``ValueError`` for what is no month."""
    since, until = month_of(month)
    return {"month": month, "by": by, "rows": breakdown(by, since, until)}


def statement(month: str, by: str, name: str) -> dict[str, Any]:
    """One user's or tag's month, in all, by model and by day; read from the requests.

    ``pruned`` says whether requests of the month are no more there; then what stands
    here is not all of it.
    """
    since, until = month_of(month)
    models: dict[str, Figures] = {}
    days: dict[str, Figures] = {}
    total = no_figures()
    value = "" if name == NONE else name
    for (day, model), figures in rows_by(by, value, (since, until)).items():
        for sums, key in ((models, model), (days, day.date().isoformat())):
            add_figures(sums.setdefault(key, no_figures()), figures)
        add_figures(total, figures)
    kept = next((row for row in breakdown(by, since, until) if row["name"] == name), None)
    return {
        "month": month,
        "by": by,
        "name": name,
        "total": _shown(total),
        "models": [
            {"model": model, **_shown(figures)}
            for model, figures in sorted(models.items(), key=lambda m: (-m[1]["cost"], m[0]))
        ],
        "days": [{"day": day, **_shown(figures)} for day, figures in sorted(days.items())],
        "pruned": kept is not None and kept["requests"] != total["requests"],
    }


def last_month(now: datetime | None = None) -> str:
    """The month before this one, as "2026-10"."""
    now = now or datetime.now(UTC)
    return f"{now.year - (now.month == 1)}-{(now.month - 2) % 12 + 1:02d}"


def _shown(figures: Figures) -> dict[str, Any]:
    saved = saved_of(figures)
    return {
        **{name: figures[name] for name in _SHOWN},
        "saved": saved,
        "saved_percent": percent(saved, figures["baseline_cost"]),
    }
