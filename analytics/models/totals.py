"""Tables: daily_totals, hourly_totals, day_sums, stale_hours, totals_state, refusal_totals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import models
from django.utils import timezone

from analytics.models.columns import ModelRefMixin
from analytics.money import money


class DailyTotal(ModelRefMixin, models.Model):
    """Sums of a UTC day per provider, model and strategy, written in the ledger's transaction.

    Figures that must be current (today's spend, the savings above a list) are read
    from here, so reading them takes the same time whatever the size of the ledger.
    """

    date = models.DateField()
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=128, blank=True)
    strategy = models.CharField(max_length=20)
    requests = models.PositiveBigIntegerField(default=0)
    errors = models.PositiveBigIntegerField(default=0)
    cache_hits = models.PositiveBigIntegerField(default=0)
    unpriced = models.PositiveBigIntegerField(default=0)
    tokens_in = models.PositiveBigIntegerField(default=0)
    tokens_out = models.PositiveBigIntegerField(default=0)
    cost = money(default=Decimal(0))
    baseline_cost = money(default=Decimal(0))
    routing_saved = money(default=Decimal(0))
    cache_saved = money(default=Decimal(0))

    class Meta:
        db_table = "daily_totals"
        constraints = [
            models.UniqueConstraint(
                fields=["date", "provider", "model", "strategy"], name="one_total_a_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.ref} {self.strategy}"


_COUNT: dict[str, Any] = {"default": 0}
_SUM: dict[str, Any] = {"default": Decimal(0)}


class Totals(models.Model):
    """Sums for one value of one dimension (a model, a user, a tag, ...).

    :mod:`analytics.reports.figures` defines each figure.
    """

    dimension = models.CharField(max_length=12)
    value = models.CharField(max_length=512, blank=True)
    requests = models.BigIntegerField(**_COUNT)
    decided = models.BigIntegerField(**_COUNT)
    failed = models.BigIntegerField(**_COUNT)
    cache_hits = models.BigIntegerField(**_COUNT)
    priced = models.BigIntegerField(**_COUNT)
    high = models.BigIntegerField(**_COUNT)
    paired = models.BigIntegerField(**_COUNT)
    tokens_in = models.BigIntegerField(**_COUNT)
    tokens_out = models.BigIntegerField(**_COUNT)
    latency_us = models.BigIntegerField(**_COUNT)
    streams = models.BigIntegerField(**_COUNT)
    first_token_us = models.BigIntegerField(**_COUNT)
    answers = models.BigIntegerField(**_COUNT)
    answer_tokens = models.BigIntegerField(**_COUNT)
    answer_tokens_squared = models.BigIntegerField(**_COUNT)
    inputs = models.BigIntegerField(**_COUNT)
    input_tokens = models.BigIntegerField(**_COUNT)
    input_estimate = models.BigIntegerField(**_COUNT)
    input_tokens_squared = models.BigIntegerField(**_COUNT)
    input_estimate_squared = models.BigIntegerField(**_COUNT)
    input_product = models.BigIntegerField(**_COUNT)
    cost = money(**_SUM)
    failed_cost = money(**_SUM)
    lost_cost = money(**_SUM)
    paired_cost = money(**_SUM)
    baseline_cost = money(**_SUM)
    baseline_output_cost = money(**_SUM)
    routing_saved = money(**_SUM)
    cache_saved = money(**_SUM)
    prompt_cache_saved = money(**_SUM)
    marks_saved = money(**_SUM, db_default=Decimal(0))
    explored_saved = money(**_SUM)

    class Meta:
        abstract = True


class HourlyRollup(Totals):
    """Sums of one hour, made from its requests once it is over, for reports over many hours."""

    hour = models.DateTimeField()

    class Meta:
        db_table = "hourly_totals"
        constraints = [
            models.UniqueConstraint(fields=["dimension", "hour", "value"], name="one_total_an_hour")
        ]

    def __str__(self) -> str:
        return f"{self.hour} {self.dimension} {self.value}"


class DailyRollup(Totals):
    """Sums of one UTC day, made from its hours once all are summed, for reports over months."""

    day = models.DateTimeField(help_text="Start of the day, UTC.")

    class Meta:
        db_table = "day_sums"
        constraints = [
            models.UniqueConstraint(fields=["dimension", "day", "value"], name="one_sum_a_day")
        ]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.dimension} {self.value}"


class StaleRollupHour(models.Model):
    """An hour to sum again, because its requests changed after it may have been summed."""

    hour = models.DateTimeField(primary_key=True)
    marked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "stale_hours"

    def __str__(self) -> str:
        return f"{self.hour}"


class TotalsState(models.Model):
    """The progress of the roll-ups, in a single row.

    Hours before ``summed_until`` and days before ``days_until`` are summed;
    requests before ``pruned_before`` were deleted. ``revision`` changes whenever sums that were
    written before are written anew, so that what was computed from them is computed again.
    """

    summed_until = models.DateTimeField(null=True)
    days_until = models.DateTimeField(null=True)
    pruned_before = models.DateTimeField(null=True)
    revision = models.UUIDField(default=uuid4, db_default=UUID(int=0))

    class Meta:
        db_table = "totals_state"

    def __str__(self) -> str:
        return f"summed until {self.summed_until}"


class RefusalTotal(models.Model):
    """The number of refused requests of a UTC day, by endpoint, HTTP status and reason.

    ``unrecorded`` of them have no row of their own, because there were too many in a minute.
    """

    date = models.DateField()
    endpoint = models.CharField(max_length=32)
    http_status = models.PositiveSmallIntegerField("HTTP status")
    reason = models.CharField(max_length=40)
    count = models.PositiveBigIntegerField(default=0)
    unrecorded = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "refusal_totals"
        verbose_name = "refusals of a day"
        verbose_name_plural = "refusals by day"
        constraints = [
            models.UniqueConstraint(
                fields=["date", "endpoint", "http_status", "reason"], name="refusal_totals_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.date}: {self.count} × {self.reason} ({self.http_status})"
