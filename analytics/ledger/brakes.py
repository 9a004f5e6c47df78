"""What workers read of sessions and budgets to hold a session back: stops, limits, runaways."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.utils import timezone

from analytics.budgets.periods import window_at
from analytics.ledger.sessions import SessionKey
from analytics.models import AgentSession, Budget, BudgetUsage

_STOPPED_FOR = timedelta(days=90)
_RUNS_WITHIN = timedelta(hours=1)
_MOST = 10_000


class SoftLimitPassed(NamedTuple):
    """A budget's soft limit that an account has passed in its current period, in USD."""

    scope: str
    subject: str
    spent: Decimal
    soft_limit: Decimal
    limit: Decimal | None


class Runaway(NamedTuple):
    """A session that has cost much since a person's last words: USD and calls since then."""

    cost: Decimal
    calls: int


def stopped_sessions() -> dict[SessionKey, str]:
    """Return the sessions that were stopped in the last 90 days, each with the reason."""
    rows = AgentSession.objects.filter(
        stopped_at__gte=timezone.now() - _STOPPED_FOR, sub_agent=""
    ).order_by("-stopped_at")
    return {
        SessionKey(tenant, session_id): reason
        for tenant, session_id, reason in rows.values_list("tenant", "session_id", "stop_reason")[
            :_MOST
        ]
    }


def runaway_sessions(cost: Decimal) -> dict[SessionKey, Runaway]:
    """Return the sessions of the last hour that cost this much since a person's last words."""
    rows = AgentSession.objects.filter(
        last_at__gte=timezone.now() - _RUNS_WITHIN, sub_agent="", cost_since_human__gte=cost
    )
    rows = rows.exclude(agent__in=("", "chat")).order_by("-last_at")
    columns = ("tenant", "session_id", "cost_since_human", "calls_since_human")
    return {
        SessionKey(tenant, session_id): Runaway(spent, calls)
        for tenant, session_id, spent, calls in rows.values_list(*columns)[:_MOST]
    }


def soft_limits_passed(now: datetime | None = None) -> list[SoftLimitPassed]:
    """Return the soft limits that are passed in their current periods."""
    now = now or timezone.now()
    passed = []
    for budget in Budget.objects.filter(enabled=True, soft_limit__isnull=False):
        assert budget.soft_limit is not None
        since = window_at(budget, now).since
        usage = BudgetUsage.objects.filter(
            account__budget=budget, start__gte=since, soft_passed_at__isnull=False
        ).order_by("-soft_passed_at")
        passed += [
            SoftLimitPassed(budget.scope, subject, spent, budget.soft_limit, budget.limit)
            for subject, spent in usage.values_list("account__subject", "spent")[:_MOST]
        ]
    return passed


def runaway_note(key: SessionKey, reason: str) -> None:
    """Write down that a session ran away, unless it was written before."""
    rows = AgentSession.objects.filter(tenant=key.tenant, session_id=key.session_id, sub_agent="")
    rows.filter(runaway_at=None).update(runaway_at=timezone.now(), runaway_reason=reason[:200])
