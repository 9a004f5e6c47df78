"""Table: response_cache."""

from __future__ import annotations

from decimal import Decimal

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from analytics.database.large_tables import LargeTableQuerySet
from analytics.encryption import EncryptedJSONField, EncryptedTextField
from analytics.models.columns import ModelRefMixin, choices
from analytics.money import money
from routing.models import TIERS
from routing.patterns import PATTERNS


class CachedResponse(ModelRefMixin, models.Model):
    """An answer that is returned again at no cost when the same request comes."""

    cache_key = models.CharField(max_length=64, unique=True)
    semantic_key = models.CharField(
        max_length=64,
        blank=True,
        help_text="Key of the conversation without its last question; set if the semantic cache "
        "may return this answer.",
    )
    tenant = models.CharField(
        max_length=80,
        blank=True,
        help_text="Tenant that owns this answer; no other tenant receives it.",
    )
    prompt = EncryptedTextField(blank=True)
    prompt_hash = models.CharField(max_length=64)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    response = EncryptedTextField()
    answer = EncryptedJSONField(
        null=True,
        blank=True,
        encoder=DjangoJSONEncoder,
        help_text="The complete answer, if it holds more than text.",
    )
    finish_reason = models.CharField(max_length=20, blank=True)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    pattern = models.CharField(max_length=20, choices=choices(PATTERNS))
    complexity = models.FloatField()
    tier = models.CharField(max_length=10, choices=choices(TIERS))
    tokens_in = models.PositiveIntegerField()
    tokens_out = models.PositiveIntegerField()
    original_cost = money(null=True)
    baseline_cost = money(null=True)
    hit_count = models.PositiveIntegerField(default=0)
    vote_count = models.PositiveIntegerField(default=0)
    vote_sum = models.FloatField(default=0.0)
    quality_score = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_hit_at = models.DateTimeField(null=True, blank=True)
    invalidated_at = models.DateTimeField(null=True, blank=True)
    invalidation_reason = models.CharField(max_length=200, blank=True)

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "response_cache"
        verbose_name = "cached response"
        indexes = [
            models.Index(fields=["-created_at"], name="cache_created"),
            models.Index(fields=["-hit_count"], name="cache_popular"),
            models.Index(
                fields=["invalidated_at"],
                condition=models.Q(invalidated_at__isnull=False),
                name="cache_withdrawn",
            ),
        ]

    @property
    def saved_by_hits(self) -> Decimal | None:
        """Return the USD that cache hits have saved; ``None`` without a price."""
        return None if self.original_cost is None else self.original_cost * self.hit_count

    def __str__(self) -> str:
        return f"{self.cache_key[:12]} ({self.ref})"
