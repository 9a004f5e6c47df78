"""Tables: feedback, learned_evidence."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from analytics.database.large_tables import LargeTableQuerySet
from analytics.models.answers import CachedResponse
from analytics.models.columns import ModelRefMixin, choices
from analytics.models.requests import RequestRecord
from routing.models import TIERS
from routing.patterns import PATTERNS


class Feedback(ModelRefMixin, models.Model):
    """A verdict on an answer.

    Provider, model, pattern and tier are copied here, so that learning survives
    the pruning of requests. ``expected`` is the score that was expected of this
    model on this prompt before any outcome. ``external_id`` identifies an imported
    outcome, so that it counts once even if it is imported several times; ``tokens_out`` is the
    length of its answer, if it is known. ``tenant`` gave the
    verdict; it is empty for operators, imports and clients without a key.
    """

    class Source(models.TextChoices):
        """Where the verdict comes from."""

        CLIENT = "client", "given by a client"
        OPERATOR = "operator", "given in the admin"
        IMPORT = "import", "imported outcome"
        REPLAY = "replay", "replayed outcome"

    request = models.ForeignKey(
        RequestRecord, null=True, blank=True, on_delete=models.SET_NULL, related_name="feedback"
    )
    cache_entry = models.ForeignKey(
        CachedResponse, null=True, blank=True, on_delete=models.SET_NULL, related_name="feedback"
    )
    rating = models.SmallIntegerField(null=True, blank=True)
    score = models.FloatField()
    expected = models.FloatField(null=True, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.CLIENT)
    external_id = models.CharField(max_length=200, blank=True)
    tokens_out = models.PositiveIntegerField(null=True, blank=True)
    comment = models.CharField(max_length=500, blank=True)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    pattern = models.CharField(max_length=20, choices=choices(PATTERNS))
    tier = models.CharField(max_length=10, choices=choices(TIERS))
    tenant = models.CharField(max_length=80, blank=True, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now)

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "feedback"
        verbose_name_plural = "feedback"
        indexes = [
            models.Index(fields=["-created_at"], name="feedback_created"),
            models.Index(
                fields=["pattern", "tier", "provider", "model", "score"],
                name="feedback_evidence",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(score__gte=0) & models.Q(score__lte=1), name="score_0_to_1"
            ),
            models.UniqueConstraint(
                fields=["external_id"],
                condition=~models.Q(external_id=""),
                name="one_outcome_an_external_id",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.score:.2f} for {self.ref}"


class LearnedEvidence(ModelRefMixin, models.Model):
    """Sums of a tenant's verdicts on one model for one kind of prompt; old ones weigh less.

    The row changes under a lock in the verdict's own transaction, so that no
    verdict is lost. ``manage.py rebuild_evidence`` rebuilds it from the verdicts.
    """

    pattern = models.CharField(max_length=20, choices=choices(PATTERNS))
    tier = models.CharField(max_length=10, choices=choices(TIERS))
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    tenant = models.CharField(max_length=80, blank=True, default="", db_default="")
    count = models.PositiveBigIntegerField(default=0)
    weight = models.FloatField(default=0.0)
    quality_sum = models.FloatField(default=0.0)
    expected_sum = models.FloatField(default=0.0)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "learned_evidence"
        verbose_name_plural = "learned evidence"
        constraints = [
            models.UniqueConstraint(
                fields=["pattern", "tier", "provider", "model", "tenant"],
                name="one_evidence_a_kind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.pattern}/{self.tier} {self.ref}"
