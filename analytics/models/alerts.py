"""Tables: alert_rules, alerts."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from analytics.models.budgets import BudgetUsage
from analytics.models.notification_target import NotificationTarget


class AlertRule(NotificationTarget):
    """A limit to watch: spend above it, savings or quality below it, or agents that run away.

    Periods are calendar periods in UTC. A notification is sent once per period, and once for
    each session that runs away and each decision of the autopilot.
    """

    class Metric(models.TextChoices):
        """What is compared with the limit."""

        SPEND = "spend", "spend above, USD"
        SAVINGS = "savings", "savings below, % of the baseline"
        QUALITY = "quality", "quality surely below the baseline's by more than, 0-1"
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
    period = models.CharField(max_length=10, choices=Period.choices, default=Period.DAY)
    user = models.CharField(
        max_length=128, blank=True, help_text="Only this user's; empty: all users."
    )
    tag = models.CharField(max_length=128, blank=True, help_text="Only requests with this tag.")

    class Meta:
        db_table = "alert_rules"
        ordering = ("name",)

    def clean(self) -> None:
        """Raise ``ValidationError`` without a recipient or with filters the metric cannot use."""
        super().clean()
        if not self.recipients and not self.webhook:
            raise ValidationError("Give a webhook or an e-mail address to notify.")
        if self.tag and self.metric != self.Metric.SPEND:
            raise ValidationError("Only spend can be watched by tag.")
        if self.user and self.metric not in (self.Metric.SPEND, self.Metric.RUNAWAY):
            raise ValidationError("Only spend and runaway sessions can be watched by user.")
        if self.user and self.tag:
            raise ValidationError("Watch either a user or a tag.")

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """A passed limit of an alert rule or a soft limit of a budget, once per period.

    ``subject`` is the session that ran away or the step of the autopilot, empty for other rules.
    The row stays after the alert is delivered.
    """

    rule = models.ForeignKey(AlertRule, null=True, on_delete=models.CASCADE, related_name="alerts")
    usage = models.OneToOneField(
        BudgetUsage, null=True, on_delete=models.CASCADE, related_name="alert"
    )
    period_start = models.DateField()
    subject = models.CharField(max_length=220, blank=True, default="", db_default="")
    raised_at = models.DateTimeField(default=timezone.now)
    value = models.DecimalField(max_digits=24, decimal_places=10)
    text = models.CharField(max_length=500)
    claimed_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "alerts"
        ordering = ("-raised_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "period_start", "subject"], name="one_alert_a_period"
            )
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
