"""Tables: shadow_answers, shadow_counts, shadow_moves."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from analytics.models.comparisons import Comparison
from analytics.money import money


class ShadowAnswer(models.Model):
    """A second answer to a request that was answered: by the model that another choice would take.

    Scores, models and what was paid stand in its comparison, whose candidate is the model of the
    second answer and whose reference the one that served. ``served_cost`` and ``shadow_cost`` are
    what the two answers cost in USD. Neither prompt nor answers are stored. ``same_model`` says
    that both choices are one model, so that nothing was called.
    """

    comparison = models.OneToOneField(
        Comparison, on_delete=models.CASCADE, primary_key=True, related_name="shadow"
    )
    requested_model = models.CharField(max_length=200, blank=True)
    turn = models.CharField(max_length=16, blank=True)
    agent = models.CharField(max_length=32, blank=True)
    later_turn = models.BooleanField(
        default=False, help_text="The conversation had an answer already."
    )
    same_model = models.BooleanField(default=False)
    served_cost = money(null=True)
    shadow_cost = money(null=True)

    class Meta:
        db_table = "shadow_answers"

    def __str__(self) -> str:
        return str(self.comparison)


class ShadowCount(models.Model):
    """How many requests of a UTC day came to each outcome of shadow evaluation."""

    day = models.DateField()
    outcome = models.CharField(max_length=60)
    requests = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "shadow_counts"
        constraints = [
            models.UniqueConstraint(fields=["day", "outcome"], name="one_shadow_count_a_day")
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.outcome}"


class ShadowMove(models.Model):
    """Kinds of requests that were left to routing at once: their rules, and the evidence then."""

    at = models.DateTimeField(default=timezone.now)
    who = models.CharField(max_length=150)
    rules = models.JSONField(default=list)
    evidence = models.JSONField(default=list)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.CharField(max_length=150, blank=True)

    class Meta:
        db_table = "shadow_moves"
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"{len(self.rules)} rules by {self.who}"
