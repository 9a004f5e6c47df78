"""What a digest says: spent, saved, quality, forecast, what moved, and what needs a look."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.utils.text import capfirst

from analytics.access.keys import tenant_of_team
from analytics.alerts.notice import Notice, Section
from analytics.alerts.period_figures import spending_by_day
from analytics.budgets.report import standings
from analytics.ledger.savings import cost_savings
from analytics.models import Alert, Budget, Digest
from analytics.money import dollars, percent
from analytics.quality.report import quality_report
from analytics.reports.exploration.explore import Compared, ExploredSpending, explore
from analytics.reports.exploration.question import MEASURES, SpendQuestion
from analytics.reports.figures import saved_of
from analytics.reports.sum_sources import RECORDED, TenantSums

_SPEND = MEASURES["spend"]
_NEARLY_USED = 80
_MANY_FAILED = 0.02
_MANY_TIMES = 10
_MOST_ALERTS = 5
_QUALITY = {
    "holds": "held: at most {0:g} below the baseline's",
    "falls short": "fell short: more than {0:g} below the baseline's",
    "not shown": "not shown: too few answers were compared",
}


def digest_message(
    digest: Digest, before: datetime, since: datetime, until: datetime, now: datetime
) -> Notice:
    """Return the digest of ``[since, until)``, compared with ``[before, since)``."""
    filters = digest.filters
    whole = explore(SpendQuestion(before, since, until, filters))
    spent, earlier = whole.total.now, whole.total.before
    title = f"{digest.name}: {_span(digest, since, until)}"
    facts = [("Spent", f"{dollars(spent['cost'])}{_change(spent['cost'], earlier['cost'])}")]
    if spent["requests"]:
        facts += [
            ("Saved", _saved(digest, spent, since, until)),
            ("Quality", _quality(digest, spent, since, until)),
            ("Requests", f"{spent['requests']:,}, {_failed(spent)} failed"),
        ]
        text = f"{capfirst(digest.about)} spent {dollars(spent['cost'])}."
        if digest.scope == Digest.Scope.EVERYTHING:
            text = f"{dollars(spent['cost'])} was spent in this {digest.period}."
    else:
        text = f"There were no requests of {digest.about} in this {digest.period}."
        if digest.scope == Digest.Scope.EVERYTHING:
            text = f"There were no requests in this {digest.period}."
    forecast = spending_by_day(dict(filters), now).forecast(now)
    facts.append((
        f"Forecast of {now:%B}",
        "unknown: no whole day of spending yet" if forecast is None else dollars(forecast.expected),
    ))  # fmt: skip
    sections = [
        Section(heading, lines)
        for heading, lines in (
            *_movers(digest, before, since, until),
            ("Needs a look", list(_problems(digest, spent, since, until, now))),
        )
        if lines
    ]
    data = {
        "digest": digest.name,
        "period": digest.period,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "spent": float(spent["cost"]),
        "requests": spent["requests"],
        "figures": dict(facts),
        "sections": {section.heading: list(section.lines) for section in sections},
    }
    return Notice(title, text, facts, sections, data)


def _span(digest: Digest, since: datetime, until: datetime) -> str:
    zone = zoneinfo.ZoneInfo(digest.time_zone)
    first, after = since.astimezone(zone), until.astimezone(zone)
    if digest.period == Digest.Period.MONTH:
        return f"{first:%B %Y}"
    return f"{first:%Y-%m-%d} to {_day_before(after)}"


def _day_before(moment: datetime) -> str:
    return f"{(moment.replace(tzinfo=None) - timedelta(days=1)):%Y-%m-%d}"


def _change(now: Decimal, before: Decimal) -> str:
    if not before:
        return ", nothing in the period before" if now else ""
    if now > _MANY_TIMES * before:
        return f", {now / before:,.0f} times the {dollars(before)} before"
    share = percent(now - before, before, 0)
    return f", {share:+.0f} % against {dollars(before)} before"


def _saved(digest: Digest, figures: Compared, since: datetime, until: datetime) -> str:
    if digest.scope == Digest.Scope.PROJECT:
        saved = saved_of(dict(figures))
        share = percent(saved, figures["baseline_cost"], 0)
        return f"{dollars(saved)}, {share:.0f} % of the baseline; no interval for a project"
    team = digest.scope == Digest.Scope.TEAM
    sums = TenantSums(tenant_of_team(digest.subject)) if team else RECORDED
    savings = cost_savings(since, until, sums, judging=Decimal(0) if team else None)
    text = f"{dollars(savings['total_saved'])}, {savings['percent_saved']:.0f} % of the baseline"
    if savings["saved_low"] is None:
        return f"{text}; interval not known: {savings['no_interval']}"
    return f"{text} ({dollars(savings['saved_low'])} to {dollars(savings['saved_high'])}, 95 %)"


def _quality(digest: Digest, figures: Compared, since: datetime, until: datetime) -> str:
    if digest.scope == Digest.Scope.EVERYTHING:
        report = quality_report(settings.QUALITY_TOLERANCE, since, until)
        return _QUALITY[report["verdict"]].format(report["tolerance"])
    ratings = figures["ratings"]
    if ratings.mean is None:
        return "not known: no answers were rated"
    return f"rated {ratings.mean:.2f} of 1 by {ratings.count} ratings"


def _failed(figures: Compared) -> str:
    return f"{percent(figures['failed'], figures['requests'], 1):g} %"


def _movers(
    digest: Digest, before: datetime, since: datetime, until: datetime
) -> Iterator[tuple[str, list[str]]]:
    other = "team" if digest.scope == Digest.Scope.EVERYTHING else "user"
    for dimension, heading in (("model", "Models that moved"), (other, f"{other.title()}s")):
        question = SpendQuestion(before, since, until, digest.filters, (dimension,))
        explored = explore(question)
        lines = [
            f"{group.values[0]}: {dollars(group.now['cost'])} ({_signed(group.change(_SPEND))})"
            for group in explored.movers(_SPEND)
        ]
        if lines and explored.is_shortened:
            lines.append(_shortened(explored))
        yield heading if dimension == "model" else f"{heading} that moved", lines


def _shortened(explored: ExploredSpending) -> str:
    return (
        f"Read from the latest requests only, since {explored.question.since:%Y-%m-%d %H:%M} UTC."
    )


def _signed(change: Decimal) -> str:
    return f"+{dollars(change)}" if change > 0 else dollars(change)


def _problems(
    digest: Digest, figures: Compared, since: datetime, until: datetime, now: datetime
) -> Iterator[str]:
    alerts = Alert.objects.filter(rule__isnull=False)
    budgets = Budget.objects.filter(enabled=True)
    if digest.filters:
        alerts = alerts.filter(**{f"rule__{digest.scope}": digest.subject})
        budgets = budgets.filter(scope=digest.scope, subject=digest.subject)
    firing = list(alerts.filter(resolved_at=None).order_by("-raised_at")[: _MOST_ALERTS + 1])
    for alert in firing[:_MOST_ALERTS]:
        yield f"Firing since {alert.raised_at:%Y-%m-%d %H:%M} UTC: {alert.text}"
    if len(firing) > _MOST_ALERTS:
        yield "More alerts are firing; the control room lists them."
    raised = alerts.filter(raised_at__gte=since, raised_at__lt=until).count()
    if raised:
        yield f"{raised} alert{' was' if raised == 1 else 's were'} raised."
    for standing in standings(budgets, most=3, now=now):
        if standing.used_percent >= _NEARLY_USED:
            whose = f" of {standing.subject}" if standing.budget.each else ""
            yield f"The budget {standing.budget}{whose} is used to {standing.used_percent:.0f} %."
    if figures["requests"] and figures["failed"] > _MANY_FAILED * figures["requests"]:
        yield f"{_failed(figures)} of the requests failed."
