"""Figures that belong to a subject: sessions, steps of the autopilot, circuits, budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet

from analytics.alerts.reading import Reading, period_start
from analytics.autopilot.steps import decisive_steps
from analytics.budgets.report import standings
from analytics.models import AgentSession, AlertRule, Budget
from analytics.money import dollars
from analytics.reports.rollup_coverage import day_of, start_of_day

_MOST_RUNAWAYS = _MOST_STEPS = _MOST_ACCOUNTS = 100
BUDGET_STEPS = (50, 80, 100)
"""Shares of a budget, in %, that people are notified at."""
_BUDGET_CALM = 5


def runaway_readings(rule: AlertRule, now: datetime) -> Iterator[Reading]:
    """Yield a reading for each session that ran away in the period."""
    start = period_start(rule.period, day_of(now).date())
    for session in _runaways(rule, start_of_day(start)).order_by("-runaway_at")[:_MOST_RUNAWAYS]:
        whose = f" of {session.user_id}" if session.user_id else ""
        text = (
            f"the session {session.session_id}{whose} ({session.agent or 'unknown'}) "
            f"runs away, {dollars(session.cost)} so far. {session.runaway_reason}"
        )
        subject = f"{session.tenant}/{session.session_id}"
        yield Reading(rule, start, session.cost, passed=True, text=text, subject=subject)


def runaway_summary(rule: AlertRule, now: datetime) -> Reading:
    """Return how many sessions ran away in the period."""
    start = period_start(rule.period, day_of(now).date())
    count = _runaways(rule, start_of_day(start)).count()
    limit = f" that cost {dollars(rule.limit)} or more" if rule.limit > 0 else ""
    text = f"{count} session{'' if count == 1 else 's'}{limit} ran away (since {start}, UTC)."
    return Reading(rule, start, Decimal(count), passed=count > 0, text=text)


def autopilot_readings(rule: AlertRule, now: datetime) -> Iterator[Reading]:
    """Yield a reading for each decision of the autopilot in the period."""
    start = period_start(rule.period, day_of(now).date())
    for step in decisive_steps(start_of_day(start))[:_MOST_STEPS]:
        text = f"{step.subject}: {step.after}, as {step.reason}."
        yield Reading(rule, start, Decimal(step.pk), True, text, f"step {step.pk}")


def autopilot_summary(rule: AlertRule, now: datetime) -> Reading:
    """Return how often the autopilot decided in the period."""
    start = period_start(rule.period, day_of(now).date())
    count = decisive_steps(start_of_day(start)).count()
    text = f"the autopilot decided {count} time{'' if count == 1 else 's'} (since {start}, UTC)."
    return Reading(rule, start, Decimal(count), passed=count > 0, text=text)


def circuit_readings(
    rule: AlertRule, now: datetime, circuits: Mapping[str, str]
) -> Iterator[Reading]:
    """Yield a reading for each provider whose circuit is not closed."""
    for provider, state in sorted(circuits.items()):
        if state == "closed" or rule.provider not in ("", provider):
            continue
        text = f"{provider} failed too often: its circuit is {state.replace('_', ' ')}."
        yield Reading(rule, day_of(now).date(), Decimal(1), True, text, provider, calm=False)


def circuit_summary(rule: AlertRule, now: datetime, circuits: Mapping[str, str]) -> Reading:
    """Return how many circuits are not closed."""
    count = sum(1 for _ in circuit_readings(rule, now, circuits))
    text = (
        f"{count} circuit{' is' if count == 1 else 's are'} open." if circuits else "no circuits."
    )
    return Reading(rule, day_of(now).date(), Decimal(count), passed=count > 0, text=text)


def budget_readings(rule: AlertRule, now: datetime) -> Iterator[Reading]:
    """Yield a reading for each account of a budget and each share of it that is in reach."""
    for standing in standings(_budgets(), most=_MOST_ACCOUNTS, now=now):
        used = Decimal(str(standing.used_percent))
        whose = f" of {standing.subject}" if standing.budget.each else ""
        at = standing.window.start.date()
        for step in BUDGET_STEPS:
            if step < rule.limit:
                continue
            text = (
                f"the budget {standing.budget}{whose} is used to {used:.0f} %: "
                f"{dollars(standing.spent + standing.held)} of "
                f"{dollars(standing.effective_limit)} {standing.budget.period_text}."
            )
            subject = f"{standing.budget.pk}/{standing.subject}"[:200] + f" at {step} %"
            calm = used <= step - _BUDGET_CALM
            yield Reading(rule, at, used, used >= step, text, subject, calm)


def budget_summary(rule: AlertRule, now: datetime) -> Reading:
    """Return the budget that is used most, in %."""
    best = max(
        standings(_budgets(), most=1, now=now), key=lambda each: each.used_percent, default=None
    )
    today = day_of(now).date()
    if best is None:
        return Reading(rule, today, None, passed=False, text="there are no budgets.")
    used = Decimal(str(best.used_percent))
    lowest = next((step for step in BUDGET_STEPS if step >= rule.limit), BUDGET_STEPS[-1])
    text = f"the budget {best.budget} is used most, to {used:.0f} %."
    return Reading(rule, today, used, passed=used >= lowest, text=text)


def is_above_others(subject: str, passed: set[str]) -> bool:
    """Return whether no higher share of the same budget is passed too."""
    account, _, share = subject.rpartition(" at ")
    step = int(share.removesuffix(" %"))
    return not any(f"{account} at {higher} %" in passed for higher in BUDGET_STEPS if higher > step)


def _budgets() -> QuerySet[Budget]:
    return Budget.objects.filter(enabled=True)


def _runaways(rule: AlertRule, since: datetime) -> QuerySet[AgentSession]:
    rows = AgentSession.objects.filter(
        runaway_at__gte=since, sub_agent="", cost__gte=max(rule.limit, Decimal(0))
    )
    return rows.filter(user_id=rule.user) if rule.user else rows
