"""Table: experiments."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone


class Experiment(models.Model):
    """Two policies side by side: units (users, say) are split between them for good.

    Policies are written as ``manage.py whatif`` takes them. ``planned_units`` is
    where the sequential test is tightest. It is stopped by itself where the
    treatment's quality is surely lower by more than ``quality_harm``, or its
    failures surely more frequent by more than ``failure_harm``.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "not begun"
        RUNNING = "running", "running"
        STOPPED = "stopped", "ended"

    class Unit(models.TextChoices):
        USER = "user", "users"
        SESSION = "session", "sessions"
        REQUEST = "request", "requests"

    name = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"^[\w.-]+$", "Letters, digits, '.', '-' and '_' only.")],
    )
    note = models.CharField(max_length=500, blank=True, help_text="What it is to find out.")
    unit = models.CharField(
        max_length=10,
        choices=Unit.choices,
        default=Unit.USER,
        help_text="Who is split. Requests that do not say their user or session take no part.",
    )
    control = models.CharField(max_length=200, default="complexity")
    treatment = models.CharField(max_length=200, default="hybrid")
    share = models.FloatField(
        default=0.5,
        validators=[MinValueValidator(0.01), MaxValueValidator(0.99)],
        help_text="Of the units that get the treatment, 0.01 to 0.99.",
    )
    planned_units = models.PositiveIntegerField(
        default=1000, validators=[MinValueValidator(100)], help_text="manage.py experiments plan."
    )
    quality_harm = models.FloatField(
        default=0.05, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    failure_harm = models.FloatField(
        default=0.02, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "experiments"
        ordering = ("-created_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["status"],
                condition=models.Q(status="running"),
                name="one_experiment_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return self.name
