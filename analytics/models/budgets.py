"""Tables: budgets, budget_accounts, budget_usage, budget_marks, budget_holds, workers."""

from __future__ import annotations

import zoneinfo
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from analytics.models.notification_target import NotificationTarget
from analytics.money import dollars, money


class Budget(NotificationTarget):
    """How much may be spent in a period, on whom or on what.

    ``limit`` is never passed, ``soft_limit`` only told of; USD. An empty
    ``subject`` is each user, team, … on its own. What it counts cannot be
    changed once it counts: make another.
    """

    class Scope(models.TextChoices):
        EVERYTHING = "everything", "everything"
        KEY = "key", "API key"
        USER = "user", "user"
        TEAM = "team", "team"
        PROJECT = "project", "project"
        PROVIDER = "provider", "provider"
        MODEL = "model", "model"

    class Period(models.TextChoices):
        MINUTE = "minute", "minute"
        HOUR = "hour", "hour"
        DAY = "day", "day"
        WEEK = "week", "week, from Monday"
        MONTH = "month", "month"
        ROLLING = "rolling", "rolling"

    class AtLimit(models.TextChoices):
        REFUSE = "refuse", "refuse the request"
        DOWNGRADE = "downgrade", "use cheaper models while one fits, then refuse"

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True, help_text="Off: it only counts.")
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.EVERYTHING)
    subject = models.CharField(
        max_length=200,
        blank=True,
        help_text="Which one: a user, a team's or project's name, the beginning of a key, a "
        "provider, or provider/model. Empty: each on its own.",
    )
    period = models.CharField(max_length=10, choices=Period.choices, default=Period.MONTH)
    rolling_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Length of a rolling period; what was spent is free again in steps of 1/120.",
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="In which days, weeks and months begin."
    )
    limit = money(
        null=True, blank=True, validators=[MinValueValidator(0)], help_text="USD; never passed."
    )
    soft_limit = money(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="USD; above it people are told, and nothing is refused.",
    )
    at_limit = models.CharField(max_length=10, choices=AtLimit.choices, default=AtLimit.REFUSE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "budgets"
        ordering = ("name",)

    def clean(self) -> None:
        super().clean()
        if self.limit is None and self.soft_limit is None:
            raise ValidationError({"limit": "Give a limit, a soft limit or both."})
        if None not in (self.limit, self.soft_limit) and self.soft_limit > self.limit:
            raise ValidationError({"soft_limit": "It is above the limit, so it is never passed."})
        if self.time_zone not in zoneinfo.available_timezones():
            raise ValidationError(
                {"time_zone": "No such time zone. One is named like Europe/Berlin."}
            )
        if (self.period == self.Period.ROLLING) != (self.rolling_minutes is not None):
            raise ValidationError(
                {"rolling_minutes": "It belongs to a rolling period, which needs it."}
            )
        if self.scope == self.Scope.EVERYTHING and self.subject:
            raise ValidationError({"subject": "Everything is everything: leave it empty."})
        if self.scope == self.Scope.MODEL and self.subject and "/" not in self.subject:
            raise ValidationError({"subject": "Name it as provider/model."})

    @property
    def each(self) -> bool:
        """Whether everybody has it on their own."""
        return not self.subject and self.scope != self.Scope.EVERYTHING

    @property
    def of_whom(self) -> str:
        if self.scope == self.Scope.EVERYTHING:
            return "everything"
        scope = self.get_scope_display()
        return f"each {scope}" if self.each else f"{scope} {self.subject}"

    @property
    def how_often(self) -> str:
        if self.period == self.Period.ROLLING:
            return f"in any {self.rolling_minutes} minutes"
        return f"a {self.period}"

    def __str__(self) -> str:
        return self.name


class BudgetAccount(models.Model):
    """One subject's own standing with a budget. Its row is the lock of all that follows."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="accounts")
    subject = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "budget_accounts"
        ordering = ("budget", "subject")
        constraints = [models.UniqueConstraint(fields=["budget", "subject"], name="one_account")]

    def __str__(self) -> str:
        return f"{self.budget}: {self.subject}" if self.budget.each else str(self.budget)


class BudgetUsage(models.Model):
    """What an account's requests of one period (or one step of a rolling one) came to, USD."""

    account = models.ForeignKey(BudgetAccount, on_delete=models.CASCADE, related_name="usage")
    start = models.DateTimeField()
    spent = money(default=Decimal(0))
    requests = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    soft_passed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "budget_usage"
        ordering = ("-start",)
        verbose_name = "budget use"
        verbose_name_plural = "budget use"
        constraints = [models.UniqueConstraint(fields=["account", "start"], name="one_usage")]
        indexes = [
            models.Index(
                fields=["soft_passed_at"],
                condition=models.Q(soft_passed_at__isnull=False),
                name="budget_usage_soft",
            )
        ]

    def __str__(self) -> str:
        return f"{self.account} from {self.start:%Y-%m-%d %H:%M}: {dollars(self.spent)}"


class BudgetMark(models.Model):
    """What an account had spent of one period at a moment, USD: one for each hundredth."""

    account = models.ForeignKey(BudgetAccount, on_delete=models.CASCADE, related_name="marks")
    start = models.DateTimeField()
    at = models.DateTimeField()
    spent = money()

    class Meta:
        db_table = "budget_marks"
        constraints = [models.UniqueConstraint(fields=["account", "start", "at"], name="one_mark")]

    def __str__(self) -> str:
        return f"{self.account} at {self.at:%Y-%m-%d %H:%M}: {dollars(self.spent)}"


class BudgetHold(models.Model):
    """What a request under way may still come to: counted as if it were spent, USD.

    ``lost_at`` is when the worker that made it was found to be gone: what the
    provider charged will never be known, so the worst case stays counted.
    """

    request_id = models.UUIDField()
    account = models.ForeignKey(BudgetAccount, on_delete=models.CASCADE, related_name="holds")
    start = models.DateTimeField()
    amount = money()
    model = models.CharField(max_length=200)
    worker = models.CharField(max_length=32)
    made_at = models.DateTimeField(default=timezone.now)
    lost_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "budget_holds"
        ordering = ("-made_at",)
        constraints = [models.UniqueConstraint(fields=["request_id", "account"], name="one_hold")]
        indexes = [models.Index(fields=["account", "start"], name="budget_holds_account")]

    def __str__(self) -> str:
        return f"{dollars(self.amount)} for {self.request_id}"


class Worker(models.Model):
    """A process that holds money, and when it was last seen alive."""

    id = models.CharField(max_length=32, primary_key=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "workers"

    def __str__(self) -> str:
        return self.id
