"""Table: comparisons."""

from __future__ import annotations

from decimal import Decimal

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils import timezone

from analytics.database.large_tables import LargeTableQuerySet
from analytics.money import money


class Comparison(models.Model):
    """One prompt answered by two models, and how good each answer was, 0-1.

    ``strategy`` chose the model, and ``expected`` is the quality expected of it
    before. ``served`` is true if the client received the model's answer; if not,
    the client received the reference's. Pattern, tier and models are copied here,
    so that a comparison outlives its request.
    """

    class Source(models.TextChoices):
        """Where the scores come from."""

        JUDGE = "judge", "judged by a model"
        REPLAY = "replay", "recorded outcomes"
        SHADOW = "shadow", "a second choice of model, judged by a model"
        LEVER = "lever", "an answer with a lever and one without, judged by a model"
        AUTOPILOT = "autopilot", "a model on trial, judged by a model"

    request = models.ForeignKey(
        "analytics.RequestRecord",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="comparisons",
    )
    created_at = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=10, choices=Source.choices)
    pattern = models.CharField(max_length=20)
    tier = models.CharField(max_length=10)
    strategy = models.CharField(max_length=20, blank=True)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    score = models.FloatField(
        null=True, blank=True, help_text="Empty if judging failed; its cost still counts."
    )
    expected = models.FloatField(null=True, blank=True)
    served = models.BooleanField(default=True)
    reference_provider = models.CharField(max_length=64)
    reference_model = models.CharField(max_length=128)
    reference_score = models.FloatField(null=True, blank=True)
    judge = models.CharField(max_length=200, blank=True)
    judge_cost = money(default=Decimal(0))
    answer_cost = money(default=Decimal(0))
    verdicts = models.JSONField(default=list, blank=True, encoder=DjangoJSONEncoder)
    error = models.CharField(max_length=200, blank=True)

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "comparisons"
        indexes = [models.Index(fields=["-created_at"], name="comparisons_created")]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    score__gte=0, score__lte=1, reference_score__gte=0, reference_score__lte=1
                )
                | Q(score__isnull=True, reference_score__isnull=True),
                name="compared_0_to_1",
            )
        ]

    @property
    def gain(self) -> float | None:
        """Return the quality gained over the reference (negative: lost); ``None`` if unknown."""
        if self.score is None or self.reference_score is None:
            return None
        return self.score - self.reference_score

    def __str__(self) -> str:
        return f"{self.model} beside {self.reference_model}"
