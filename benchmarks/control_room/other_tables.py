"""Made-up rows for the tables beside the requests, as many as a busy year leaves.

A row is made from the types of its fields, so that a table that is added later has rows too.
What a page needs to make sense of a row, or a constraint demands, stands in :data:`_SET`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.db import models

_NOW = datetime.now(UTC)
_FILLED = frozenset(
    {"RequestRecord", "RoutingMetric", "AgentSession", "DailyTotal", "Group", "Budget"}
)
"""Tables that are filled by SQL, or are small by nature."""
_USUAL = 2_000
_COUNTS = {
    "AlertRule": 50, "NotificationChannel": 20, "Digest": 20, "Experiment": 50, "KeyTemplate": 20,
    "Team": 60, "Project": 200, "RoutingRule": 60, "ApiKey": 500, "Developer": 300,
    "PriceOverride": 100, "LedgerDay": 30, "BudgetHold": 200, "User": 500, "ProviderBatch": 1_000,
    "ProviderStatementLine": 3_600, "LearnedEvidence": 1_000, "RefusalTotal": 900,
    "Feedback": 20_000, "Comparison": 20_000, "CachedResponse": 100_000, "LogEntry": 20_000,
    "DeferredRequest": 20_000, "Notification": 10_000,
}  # fmt: skip
MODELS = (
    ("claude", "claude-haiku-5-5"), ("openrouter", "z-ai/glm-5.3-flash"),
    ("openai", "gpt-6.1-terra"), ("gemini", "gemini-3.5-flash-lite"),
    ("claude", "claude-opus-5-5"), ("openrouter", "deepseek/deepseek-v4.1-flash"),
    ("openai", "gpt-6-luna"), ("gemini", "gemini-3.8-flash"),
)  # fmt: skip
"""The models of all rows, that of "model-0" first."""
_SUMMED = list(product(range(30), range(6), range(5)))
_KINDS = list(product(("code", "factual", "general"), ("simple", "moderate", "complex"), MODELS))
_SET: dict[str, Callable[[int], dict[str, Any]]] = {
    "Alert": lambda n: {"usage": None, "resolved_at": _moment(n) if n % 200 else None},
    "Comparison": lambda n: {
        "reference_provider": MODELS[4][0], "reference_model": MODELS[4][1],
        "judge": "gemini/judge", "error": "", "verdicts": ["first", "tie"], "strategy": "hybrid",
        "served": n % 5 < 2,
    },
    "Developer": lambda n: {"account": None, "budget": None, "disabled_at": None, "left_at": None},
    "Experiment": lambda n: {
        "status": "stopped" if n else "running", "control": "complexity", "treatment": "hybrid",
        "end_reason": "", "share": 0.5,
    },
    "KeyTemplate": lambda n: {"for_single_sign_on": False},
    "ApiKey": lambda n: {"revoked_at": None, "expires_at": None, "auto_route": False},
    "LearnedEvidence": lambda n: {
        "pattern": _KINDS[n % 72][0], "tier": _KINDS[n % 72][1], "provider": _KINDS[n % 72][2][0],
        "model": _KINDS[n % 72][2][1], "tenant": f"team:{n // 72}" if n >= 72 else "",
        "count": 50, "weight": 50.0, "quality_sum": 40.0,
    },
    "Notification": lambda n: {"issue": None, "due_at": None, "direct": ""},
    "NotificationChannel": lambda n: {"kind": "email", "emails": "ops@example.com", "address": ""},
    "AlertRule": lambda n: {"muted_until": None, "model": "", "provider": "", "webhook": ""},
    "ProviderStatementLine": lambda n: {
        "provider": MODELS[n % 8][0], "model": MODELS[n % 8][1], "source": "api", "key": "",
        "time_zone": "UTC", "item": f"item {n // 240}", "day": _day(n // 8),
    },
    "RefusalTotal": lambda n: {
        "date": _day(_SUMMED[n][0]), "endpoint": f"endpoint-{_SUMMED[n][1]}",
        "http_status": 400 + _SUMMED[n][2], "reason": "invalid",
    },
    "RoutingRule": lambda n: {
        "enabled": True, "tags": [f"tag-{n}"], "model_names": ["claude/claude-haiku-5-5"],
        "action": "prefer", "zone": "UTC", "cost_cap": None, "latency_cap": None, "deadline": None,
        "quality_target": None, "min_tokens": None, "max_tokens": None, "since": None,
        "until": None, "note_everywhere": False, "answer_note": "",
    },
    "Digest": lambda n: {"time_zone": "UTC", "scope": "everything", "subject": "", "webhook": ""},
    "User": lambda n: {"is_superuser": False, "is_staff": False, "password": "!"},
    "LogEntry": lambda n: {"change_message": "Changed it.", "object_id": "1"},
}  # fmt: skip
"""Fields of the ``n``-th row that its types do not tell."""


def other_tables_fill() -> None:
    """Make rows of all other tables that the admin shows, and what belongs to them."""
    import optimizer.control_room.urls  # noqa: F401 - it registers the admins of models

    for model in sorted(admin.site._registry, key=_order):
        if model.__name__ not in _FILLED and model._default_manager.count() < 40:
            _make(model, _COUNTS.get(model.__name__, _USUAL))
    _trials_make()


def _order(model: type[models.Model]) -> tuple[bool, str]:
    """Rows that others belong to are made first."""
    needed = {"AlertRule", "Digest", "NotificationChannel", "Team", "User", "ApiKey"}
    late = {"Notification", "LogEntry", "DeferredRequest"}
    return (
        model.__name__ in late,
        model.__name__ not in needed,
        model.__name__,
    )  # type: ignore[return-value]


def _make(model: type[models.Model], count: int) -> None:
    fields = [field for field in model._meta.concrete_fields if not _is_automatic(field)]
    related = {
        field.name: list(field.related_model._default_manager.values_list("pk", flat=True)[:count])
        for field in fields
        if field.is_relation
    }
    single = {field.name for field in fields if field.is_relation and field.unique}
    rows = []
    for n in range(count):
        values: dict[str, Any] = {}
        for field in fields:
            if field.is_relation:
                known = related[field.name]
                far = field.name in single and n >= len(known)
                values[field.attname] = known[n % len(known)] if known and not far else None
            else:
                values[field.attname] = _value(field, n)
        values |= _SET.get(model.__name__, lambda n: {})(n)
        rows.append(model(**values))
    model._default_manager.bulk_create(rows, batch_size=1_000, ignore_conflicts=True)


_FEW = frozenset({"source", "path_info", "user_agent", "http_accept", "reason", "strategy"})
"""Fields that have few values in any installation."""


def _is_automatic(field: models.Field[Any, Any]) -> bool:
    return isinstance(field, models.AutoField | models.BigAutoField)


def _value(field: models.Field[Any, Any], n: int) -> Any:  # noqa: C901
    """Return a value of the field's type for the ``n``-th row."""
    if field.name in ("provider", "model"):
        return MODELS[n % 8][field.name == "model"]
    if field.name in ("pattern", "tier"):
        return _KINDS[n % len(_KINDS)][field.name == "tier"]
    if field.choices:
        return [choice for choice, _ in field.flatchoices][n % len(field.flatchoices)]
    if field.name in ("webhook", "webhook_error", "error", "error_detail", "note", "tenant"):
        return ""
    if field.name in _FEW:
        return f"{field.name} {n % 5}"
    match field:
        case models.UUIDField():
            return UUID(int=n + 1)
        case models.BooleanField():
            return n % 2 == 0
        case models.DateTimeField():
            return _moment(n)
        case models.DateField():
            return _day(n)
        case models.TimeField():
            return time(n % 24)
        case models.DecimalField():
            return Decimal(n % 100 + 1) / 1000
        case models.FloatField():
            return (n % 10) / 10
        case models.IntegerField():
            return n % 1_000 + 1
        case models.GenericIPAddressField():
            return f"10.0.{n // 250 % 250}.{n % 250}"
        case models.JSONField():
            return field.get_default() or ([] if field.default is list else {})
        case models.CharField():
            return f"{field.name}-{n}"[-(field.max_length or 200) :]
    return f"Some text, the {n}th of its kind."


def _moment(n: int) -> datetime:
    return _NOW - timedelta(minutes=n * 43_000 // _USUAL % 43_000)


def _day(n: int) -> date:
    return (_NOW - timedelta(days=n % 30)).date()


def _trials_make() -> None:
    """A trial of the autopilot now and a hundred past ones, each with compared pairs."""
    trial, step, pair, comparison, shadow = (
        apps.get_model("analytics", name)
        for name in (
            "AutopilotTrial", "AutopilotStep", "AutopilotPair", "Comparison", "ShadowAnswer",
        )
    )  # fmt: skip
    if trial.objects.exists():
        return
    trials = [
        trial(
            provider=MODELS[n % 8][0], model=MODELS[n % 8][1], created_at=_moment(n),
            tier=("simple", "moderate", "complex")[n % 3], state="rejected" if n else "shadow",
        )
        for n in range(101)
    ]  # fmt: skip
    trial.objects.bulk_create(trials)
    compared = list(comparison.objects.filter(source="autopilot"))
    pair.objects.bulk_create(
        pair(
            comparison=row, trial=trials[n % 101], unit=f"unit-{n}", score=row.score or 0.5,
            saved=0.001, live=False, at=row.created_at,
        )
        for n, row in enumerate(compared)
    )  # fmt: skip
    _make(step, 500)
    shadow.objects.bulk_create(
        shadow(
            comparison=row, requested_model="gpt-6.1-terra", turn="human", agent="chat",
            served_cost=Decimal("0.002"), shadow_cost=Decimal("0.001"),
        )
        for row in comparison.objects.filter(source="shadow")
    )  # fmt: skip
