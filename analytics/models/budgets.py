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
    """How much a subject (a user, a team, a model, ...) may spend in a period.

    No call begins that could pass ``limit`` at its price; passing ``soft_limit`` only sends a
    notification. Both are USD. With an empty ``subject`` every user, team, ...
    has a budget of its own. Scope, subject and period cannot change once the
    budget counts: make another budget instead.
    """

    class Scope(models.TextChoices):
        """The kind of subject whose spending is counted."""

        EVERYTHING = "everything", "everything"
        KEY = "key", "API key"
        USER = "user", "user"
        TEAM = "team", "team"
        PROJECT = "project", "project"
        SESSION = "session", "session"
        PROVIDER = "provider", "provider"
        MODEL = "model", "model"

    class Period(models.TextChoices):
        """The period after which the budget resets."""

        MINUTE = "minute", "minute"
        HOUR = "hour", "hour"
        DAY = "day", "day"
        WEEK = "week", "week, from Monday"
        MONTH = "month", "month"
        ROLLING = "rolling", "rolling"

    class AtLimit(models.TextChoices):
        """What happens to a request that does not fit the limit."""

        REFUSE = "refuse", "refuse the request"
        DOWNGRADE = "downgrade", "use cheaper models while one fits, then refuse"

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True, help_text="If off, the budget only counts.")
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.EVERYTHING)
    subject = models.CharField(
        max_length=200,
        blank=True,
        help_text="A user, the name of a team or project, the beginning of a key, the id of a "
        "session, a provider, or provider/model. Empty: a separate budget for each.",
    )
    period = models.CharField(max_length=10, choices=Period.choices, default=Period.MONTH)
    rolling_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Length of a rolling period. Spending leaves the period in steps of 1/120 of it.",
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="Time zone in which days, weeks and months begin."
    )
    limit = money(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="USD. No call begins that could pass it at its price. What cannot be bounded"
        " before a call, such as tokens that a provider adds beyond max_tokens, counts as it was"
        " charged.",
    )
    soft_limit = money(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="USD. Above it a notification is sent, and nothing is refused.",
    )
    at_limit = models.CharField(max_length=10, choices=AtLimit.choices, default=AtLimit.REFUSE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "budgets"
        ordering = ("name",)

    def clean(self) -> None:
        """Raise ``ValidationError`` if limits, period, time zone and subject do not agree."""
        super().clean()
        if self.limit is None and self.soft_limit is None:
            raise ValidationError({"limit": "Give a limit, a soft limit or both."})
        if None not in (self.limit, self.soft_limit) and self.soft_limit > self.limit:
            raise ValidationError(
                {"soft_limit": "The soft limit is above the limit, so it is never reached."}
            )
        if self.time_zone not in zoneinfo.available_timezones():
            raise ValidationError(
                {"time_zone": "Unknown time zone. Use a name such as Europe/Berlin."}
            )
        if (self.period == self.Period.ROLLING) != (self.rolling_minutes is not None):
            raise ValidationError(
                {"rolling_minutes": "Set it for a rolling period only; it is required there."}
            )
        if self.scope == self.Scope.EVERYTHING and self.subject:
            raise ValidationError({"subject": "Leave it empty: the budget covers everything."})
        if self.scope == self.Scope.MODEL and self.subject and "/" not in self.subject:
            raise ValidationError({"subject": "Write it as provider/model."})

    @property
    def each(self) -> bool:
        """Return whether each subject has a budget of its own."""
        return not self.subject and self.scope != self.Scope.EVERYTHING

    @property
    def applies_to(self) -> str:
        """Return whose spending is counted, for people: ``each user``, ``team research``."""
        if self.scope == self.Scope.EVERYTHING:
            return "everything"
        scope = self.get_scope_display()
        return f"each {scope}" if self.each else f"{scope} {self.subject}"

    @property
    def period_text(self) -> str:
        """Return the period as it follows an amount: ``a month``, ``in any 90 minutes``."""
        if self.period == self.Period.ROLLING:
            return f"in any {self.rolling_minutes} minutes"
        return f"a {self.period}"

    def __str__(self) -> str:
        return self.name


class BudgetAccount(models.Model):
    """One subject's account with a budget.

    Its row is the lock for the account's usage, marks and holds.
    """

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="accounts")
    subject = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "budget_accounts"
        ordering = ("budget", "subject")
        constraints = [models.UniqueConstraint(fields=["budget", "subject"], name="one_account")]

    def __str__(self) -> str:
        return f"{self.budget}: {self.subject}" if self.budget.each else str(self.budget)


class BudgetUsage(models.Model):
    """What an account spent in one period, or in one step of a rolling period, in USD."""

    account = models.ForeignKey(BudgetAccount, on_delete=models.CASCADE, related_name="usage")
    start = models.DateTimeField()
    spent = money(default=Decimal(0))
    requests = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    soft_passed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "budget_usage"
        ordering = ("-start",)
        verbose_name = "budget usage"
        verbose_name_plural = "budget usage"
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
    """What an account had spent in a period at a moment, in USD: one mark per 1 % of the limit."""

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
    """Money in USD held for a request in progress: counted as if it were spent.

    ``api_key``, ``user_id``, ``tenant``, ``project``, ``session_id`` and ``endpoint`` are those
    of the request, which arrived at ``asked_at``. ``tokens_in`` is the estimated input of its
    call, ``tokens_out`` the output that it allows, ``estimate`` what both cost.
    ``lost_at`` is when the worker that made the hold was found dead: what the provider charged
    is then estimated from these.
    """

    request_id = models.UUIDField()
    account = models.ForeignKey(BudgetAccount, on_delete=models.CASCADE, related_name="holds")
    start = models.DateTimeField()
    amount = money()
    model = models.CharField(max_length=200)
    api_key = models.CharField("API key", max_length=16, blank=True, default="", db_default="")
    user_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    tenant = models.CharField(max_length=80, blank=True, default="", db_default="")
    project = models.CharField(max_length=64, blank=True, default="", db_default="")
    session_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    endpoint = models.CharField(max_length=32, blank=True, default="", db_default="")
    asked_at = models.DateTimeField(null=True)
    tokens_in = models.PositiveIntegerField(default=0, db_default=0)
    tokens_out = models.PositiveIntegerField(default=0, db_default=0)
    estimate = money(null=True)
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

    @property
    def payer_text(self) -> str:
        """Return who pays, such as "key sk-1a2b, user ann"; "anonymous" if nobody is known."""
        team = "" if self.tenant.startswith("key:") else self.tenant.replace(":", " ", 1)
        parts = {"key": self.api_key, "user": self.user_id, "project": self.project}
        known = [team, *(f"{name} {value}" for name, value in parts.items() if value)]
        return ", ".join(filter(None, known)) or "anonymous"

    @property
    def reason_text(self) -> str:
        """Return why the money is held."""
        if self.lost_at is not None:
            return "worker stopped"
        return f"{self.endpoint or 'judging'} in progress"


class Worker(models.Model):
    """A process that holds money, and the time of its last heartbeat."""

    id = models.CharField(max_length=32, primary_key=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "workers"

    def __str__(self) -> str:
        return self.id
