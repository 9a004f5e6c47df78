"""Tables: provider_statement_lines, reconciled_estimates."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from analytics.money import money


class ProviderStatementLine(models.Model):
    """A line of what a provider states: a charge in USD, or usage if ``amount`` is empty.

    ``day`` is a day of the statement's ``time_zone``. ``source`` is "api" or the name of the
    file; lines of the same provider, source and day are replaced when they are read again.
    """

    provider = models.CharField(max_length=64)
    source = models.CharField(max_length=100)
    day = models.DateField()
    time_zone = models.CharField(max_length=64, default="UTC")
    model = models.CharField(max_length=200, blank=True)
    key = models.CharField(
        "key or project", max_length=128, blank=True, help_text="The provider's id of it."
    )
    item = models.CharField(max_length=200, blank=True)
    amount = money(null=True)
    places = models.PositiveSmallIntegerField(
        default=10, help_text="Decimal places with which the amount is stated."
    )
    requests = models.PositiveBigIntegerField(null=True)
    tokens_in = models.PositiveBigIntegerField(null=True)
    tokens_out = models.PositiveBigIntegerField(null=True)
    read_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "provider_statement_lines"
        ordering = ("-day", "provider", "model")
        indexes = [models.Index(fields=["provider", "day"], name="statement_lines_day")]

    def __str__(self) -> str:
        return f"{self.provider} {self.day} {self.item or self.model}"


class ReconciledEstimate(models.Model):
    """What an invoice shows of a request whose cost or usage was estimated.

    The ledger's row stays as it is.
    """

    class Outcome(models.TextChoices):
        """Whether the provider charged the estimate."""

        CHARGED = "charged", "charged as estimated"
        NOT_CHARGED = "free", "not charged"

    request_id = models.UUIDField(primary_key=True)
    provider = models.CharField(max_length=64)
    day = models.DateField()
    estimate = money()
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reconciled_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "reconciled_estimates"
        ordering = ("-day",)

    def __str__(self) -> str:
        return f"{self.request_id}: {self.get_outcome_display()}"
