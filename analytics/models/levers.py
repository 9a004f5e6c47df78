"""Tables: levers, lever_changes, lever_results."""

from __future__ import annotations

import json
import math

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone


class Lever(models.Model):
    """How one lever is used, where an operator has set it.

    ``started_at`` is when it was last switched on: harm counts from then. ``ramping`` is whether it
    leaves half of the requests alone until harm beyond its budget is ruled out.
    ``options`` are the lever's own settings. ``harm_budget`` is how much quality it may cost in
    all before it is stopped: points of 0-1 summed over answers, so 10 is ten answers spoiled.
    ``stopped_at`` is when it was switched off because it did harm.
    """

    class Mode(models.TextChoices):
        """Whether the lever is used, and whether a random share is left alone."""

        OFF = "off", "off"
        ON = "on", "on"
        PROVE = "prove", "prove it"

    name = models.CharField(max_length=20, primary_key=True)
    mode = models.CharField(max_length=5, choices=Mode.choices, default=Mode.OFF)
    control_share = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001), MaxValueValidator(0.9)],
        help_text="Share of eligible requests that is left alone; empty: LEVER_CONTROL_SHARE.",
    )
    options = models.JSONField(default=dict, blank=True)
    harm_budget = models.FloatField(
        default=50.0,
        validators=[MinValueValidator(1.0)],
        help_text="Answers that it may spoil in all before it is stopped.",
    )
    ramping = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Leaves half of the requests alone until harm beyond the budget is ruled out, "
        "and is stopped if that cannot be done within the budget.",
    )
    started_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.CharField(max_length=300, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "levers"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ``ValidationError`` for what databases do not store: NaN passes every bound."""
        for name in ("control_share", "harm_budget"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValidationError({name: "Must be a finite number."})
        words = "Must hold finite numbers, and texts of Unicode without NUL."
        try:
            text = json.dumps(self.options, allow_nan=False, ensure_ascii=False).encode()
        except ValueError:
            raise ValidationError({"options": words}) from None
        if rb"\u0000" in text:
            raise ValidationError({"options": words})


class LeverChange(models.Model):
    """One change of a lever: who made it, when, and the lever before and after. Never changes."""

    lever = models.CharField(max_length=20)
    who = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now)
    before = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, encoder=DjangoJSONEncoder)

    class Meta:
        db_table = "lever_changes"
        indexes = [models.Index(fields=["-at"], name="lever_changes_at")]
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"{self.lever} by {self.who}"


class LeverResult(models.Model):
    """What one lever saved in the last ``days``, as last computed.

    ``lever`` is empty for all levers together. ``figures`` are those of
    :func:`analytics.reports.levers.lever_figures`; money is USD.
    """

    lever = models.CharField(max_length=20, blank=True)
    days = models.PositiveSmallIntegerField()
    since = models.DateTimeField()
    computed_at = models.DateTimeField(default=timezone.now)
    figures = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        db_table = "lever_results"
        ordering = ("lever", "days")
        constraints = [
            models.UniqueConstraint(fields=["lever", "days"], name="one_result_a_lever_and_period")
        ]

    def __str__(self) -> str:
        return f"{self.lever or 'all levers'}, {self.days} days"
