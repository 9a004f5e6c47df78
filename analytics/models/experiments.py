"""Table: experiments."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone


class Experiment(models.Model):
    """Two policies compared: each unit (a user, say) stays in one arm for good.

    Policies are written as ``manage.py whatif`` takes them. ``planned_units`` is
    the number of units at which the sequential test is tightest. The experiment
    stops by itself if the treatment's quality is surely lower by more than
    ``quality_harm``, or its share of failures surely higher by more than
    ``failure_harm``.
    """

    class Status(models.TextChoices):
        """The stage of an experiment."""

        DRAFT = "draft", "not started"
        RUNNING = "running", "running"
        STOPPED = "stopped", "ended"

    class Unit(models.TextChoices):
        """What is assigned to an arm at random."""

        USER = "user", "users"
        SESSION = "session", "sessions"
        REQUEST = "request", "requests"

    name = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"^[\w.-]+$", "Letters, digits, '.', '-' and '_' only.")],
    )
    note = models.CharField(max_length=500, blank=True, help_text="The question to answer.")
    unit = models.CharField(
        max_length=10,
        choices=Unit.choices,
        default=Unit.USER,
        help_text="What is assigned to an arm. Requests without a user or session take no part.",
    )
    control = models.CharField(max_length=200, default="complexity")
    treatment = models.CharField(max_length=200, default="hybrid")
    share = models.FloatField(
        default=0.5,
        validators=[MinValueValidator(0.01), MaxValueValidator(0.99)],
        help_text="Share of units that get the treatment, 0.01 to 0.99.",
    )
    planned_units = models.PositiveIntegerField(
        default=1000,
        validators=[MinValueValidator(100)],
        help_text="Units in both arms; “manage.py experiments plan” computes the number.",
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
