"""Tables: alert_rules, alerts."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from analytics.models.budgets import BudgetUsage
from analytics.models.notification_target import NotificationTarget

FILTERS = ("team", "project", "key", "model", "provider", "user", "tag")
"""What a rule can be narrowed to, as fields of :class:`AlertRule`."""


class AlertRule(NotificationTarget):
    """A figure to watch, and the limit at which people are notified.

    Some figures are those of a calendar period in UTC, some those of the last minutes, and some
    belong to a subject of their own: a session, a circuit, a budget.
    """

    class Metric(models.TextChoices):
        """What is compared with the limit."""

        SPEND = "spend", "spend above, USD"
        UNUSUAL = "unusual", "spend unusually high, by at least, USD"
        FORECAST = "forecast", "forecast of the month above, USD"
        BUDGET = "budget", "a budget is used to 50, 80 or 100 %, from, %"
        ERRORS = "errors", "failed requests above, %"
        LATENCY = "latency", "latency (95th percentile) above, ms"
        SLOWER = "slower", "latency (95th percentile) above its usual one, times"
        CIRCUIT = "circuit", "a provider's circuit is open (any limit)"
        SAVINGS = "savings", "savings below, % of the baseline"
        QUALITY = "quality", "quality surely below the baseline's by more than, 0-1"
        GUARANTEE = "guarantee", "the guarantee falls short, or quality drifts from it (any limit)"
        INVOICE = "invoice", "differs from the providers' invoices by more than, %"
        RUNAWAY = "runaway", "a session runs away, having cost at least, USD"
        AUTOPILOT = "autopilot", "the autopilot moves traffic or takes it back (any limit)"

    class Period(models.TextChoices):
        """The calendar period that is summed, in UTC."""

        DAY = "day", "day"
        WEEK = "week", "week"
        MONTH = "month", "month"

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    metric = models.CharField(max_length=10, choices=Metric.choices, default=Metric.SPEND)
    limit = models.DecimalField(max_digits=20, decimal_places=4)
    period = models.CharField(
        max_length=10,
        choices=Period.choices,
        default=Period.DAY,
        help_text="For spend, savings, quality, invoices, runaway sessions and the autopilot.",
    )
    window_minutes = models.PositiveIntegerField(
        default=15,
        db_default=15,
        validators=[MinValueValidator(5), MaxValueValidator(24 * 60)],
        help_text="For failed requests and latency: the last so many minutes.",
    )
    team = models.CharField(max_length=80, blank=True, default="", db_default="")
    project = models.CharField(max_length=64, blank=True, default="", db_default="")
    key = models.CharField(
        "API key", max_length=16, blank=True, default="", db_default="",
        help_text="The beginning of the key, as lists show it.",
    )  # fmt: skip
    model = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="provider/model"
    )
    provider = models.CharField(max_length=64, blank=True, default="", db_default="")
    user = models.CharField(
        max_length=128, blank=True, help_text="Only this user's; empty: all users."
    )
    tag = models.CharField(max_length=128, blank=True, help_text="Only requests with this tag.")
    notify_resolved = models.BooleanField(
        "notify when it is over", default=True, db_default=True,
        help_text="Events, such as a session that runs away, are never over.",
    )  # fmt: skip
    muted_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then, nobody is notified."
    )
    checked_at = models.DateTimeField(null=True, editable=False)
    last_value = models.DecimalField(max_digits=24, decimal_places=10, null=True, editable=False)
    last_text = models.CharField(
        max_length=500, blank=True, default="", db_default="", editable=False
    )

    class Meta:
        db_table = "alert_rules"
        ordering = ("name",)

    @property
    def filters(self) -> dict[str, str]:
        """Return the values that the watched requests have, by dimension."""
        return {name: value for name in FILTERS if (value := getattr(self, name))}

    @property
    def filter_text(self) -> str:
        """Return the filters for people, such as " of team research"; "" without any."""
        parts = [f"{name} {value}" for name, value in self.filters.items()]
        return f" of {', '.join(parts)}" if parts else ""

    @property
    def limit_text(self) -> str:
        """Return the limit without the zeros at its end."""
        return f"{self.limit.normalize():f}"

    def is_muted(self, now: datetime) -> bool:
        """Return whether nobody is notified at ``now``."""
        return self.muted_until is not None and self.muted_until > now

    def clean(self) -> None:
        """Raise ``ValidationError`` for filters that the metric cannot use, and odd limits."""
        super().clean()
        filters = set(self.filters)
        if unusable := filters - _FILTERS_OF.get(self.metric, set()):
            names = ", ".join(sorted(unusable))
            raise ValidationError(
                f"This figure cannot be watched by {names}. {_FILTERS_WORDS[self.metric]}"
                if self.metric in _FILTERS_WORDS
                else f"This figure cannot be watched by {names}."
            )
        # A model belongs to its provider, so naming both asks for no more than the model.
        apart = filters - {"provider"} if self.model else filters
        if self.metric in _SPENDING and len(apart) > 1:
            raise ValidationError(
                "Spending is watched by one of team, project, key, model, provider, user and tag."
            )
        if self.model and "/" not in self.model:
            raise ValidationError({"model": "Write it as provider/model."})
        if self.limit is not None and self.metric in _POSITIVE and self.limit <= 0:
            raise ValidationError({"limit": "Give a limit above 0."})
        if self.metric in (self.Metric.ERRORS, self.Metric.BUDGET) and (self.limit or 0) > 100:
            raise ValidationError({"limit": "Give at most 100 %."})

    def __str__(self) -> str:
        return self.name


_M = AlertRule.Metric
_SPENDING = {_M.SPEND, _M.UNUSUAL, _M.FORECAST}
_WINDOWS = {_M.ERRORS, _M.LATENCY, _M.SLOWER}
_POSITIVE = {_M.ERRORS, _M.LATENCY, _M.SLOWER, _M.FORECAST}
_FILTERS_OF: dict[str, set[str]] = {
    **{metric: set(FILTERS) for metric in _SPENDING | _WINDOWS},
    _M.CIRCUIT: {"provider"},
    _M.RUNAWAY: {"user"},
}
_FILTERS_WORDS: dict[str, str] = {
    _M.CIRCUIT: "A circuit belongs to a provider.",
    _M.RUNAWAY: "Sessions belong to users.",
}


class Alert(models.Model):
    """A limit that was passed: an episode that begins and ends, or an event.

    It is open, and its rule is firing, while ``resolved_at`` is null; an event, such as a session
    that runs away, is resolved at once. ``subject`` is the session, step, circuit or budget that it
    is about, empty for other rules. ``usage`` is set for the soft limit of a budget. ``episode``
    counts the alerts of a rule and subject in one ``period_start``. ``calm_since`` is when the
    figure came back within the limit; ``notified`` is whether notifications were written.
    """

    rule = models.ForeignKey(AlertRule, null=True, on_delete=models.CASCADE, related_name="alerts")
    usage = models.OneToOneField(
        BudgetUsage, null=True, on_delete=models.CASCADE, related_name="alert"
    )
    period_start = models.DateField()
    subject = models.CharField(max_length=220, blank=True, default="", db_default="")
    episode = models.PositiveIntegerField(default=0, db_default=0)
    raised_at = models.DateTimeField(default=timezone.now)
    calm_since = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    notified = models.BooleanField(default=False, db_default=False)
    value = models.DecimalField(max_digits=24, decimal_places=10)
    text = models.CharField(max_length=500)
    end_text = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        db_table = "alerts"
        ordering = ("-raised_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "period_start", "subject", "episode"], name="one_alert_an_episode"
            ),
            models.UniqueConstraint(
                fields=["rule", "subject"],
                condition=models.Q(resolved_at__isnull=True),
                name="one_open_alert",
            ),
        ]

    @property
    def target(self) -> NotificationTarget:
        """Return the budget or the alert rule that names the recipients."""
        if self.usage is not None:
            return self.usage.account.budget
        assert self.rule is not None
        return self.rule

    @property
    def source(self) -> str:
        """Return the name of the budget or alert rule that raised the alert."""
        return str(self.target)

    def __str__(self) -> str:
        return self.text
