"""Tables: price_overrides, price_history."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from analytics.models.columns import ModelRefMixin
from analytics.money import dollars, money

PRICE_UNITS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
"""USD per million tokens each; the last three are for the provider's prompt cache."""


def _today() -> date:
    return datetime.now(UTC).date()


def _price(**options: Any) -> models.DecimalField:
    return money(validators=[MinValueValidator(Decimal(0))], **options)


class PriceOverride(ModelRefMixin, models.Model):
    """A model's price on certain days, which takes the place of the price table.

    Prices are USD per million tokens, on UTC days from ``valid_from`` until before
    ``valid_until``. A price that has begun to apply is history: only its end can
    change, and not into the past.
    """

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    input = _price(help_text="USD per million input tokens.")
    output = _price(help_text="USD per million output tokens.")
    cache_read = _price(
        null=True, blank=True, help_text="Read from the prompt cache; empty: the input price."
    )
    cache_write = _price(
        null=True, blank=True, help_text="Written to the prompt cache; empty: the input price."
    )
    cache_write_1h = _price(
        null=True,
        blank=True,
        help_text="Written to the prompt cache for an hour; empty: the cache write price.",
    )
    valid_from = models.DateField(default=_today, help_text="UTC. Today: from now on.")
    valid_until = models.DateField(
        null=True,
        blank=True,
        help_text="First UTC day on which the price no longer applies. Empty: no end.",
    )
    note = models.CharField(max_length=200, blank=True, help_text="Reason: a contract, a discount.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "price_overrides"
        ordering = ("provider", "model", "-valid_from")

    def clean(self) -> None:
        """Raise ``ValidationError`` if the price changes the past or overlaps with another."""
        super().clean()
        if self.valid_from is None:
            return  # the field reports its own error
        if self.valid_until is not None and self.valid_until < self.valid_from:
            raise ValidationError({"valid_until": "The end is before the start."})
        before = PriceOverride.objects.filter(pk=self.pk).first() if self.pk else None
        if before is None or before.valid_from != self.valid_from:
            self._check_start()
        if before is not None and before.has_begun:
            self._check_history(before)
        self._check_overlap()

    def _check_start(self) -> None:
        if self.valid_from < _today():
            raise ValidationError(
                {"valid_from": "The day is in the past: its costs are already recorded."}
            )

    def _check_history(self, before: PriceOverride) -> None:
        for name in ("provider", "model", "valid_from", *PRICE_UNITS):
            if getattr(self, name) != getattr(before, name):
                message = "The price already applies. End it and add another."
                raise ValidationError({name: message})
        if self.valid_until == before.valid_until:
            return
        ended = before.valid_until is not None and before.valid_until < _today()
        if ended or (self.valid_until is not None and self.valid_until < _today()):
            raise ValidationError(
                {"valid_until": "The past is already recorded: choose today or later."}
            )

    def _check_overlap(self) -> None:
        others = PriceOverride.objects.filter(provider=self.provider, model=self.model)
        others = others.filter(Q(valid_until=None) | Q(valid_until__gt=self.valid_from))
        if self.valid_until is not None:
            others = others.filter(valid_from__lt=self.valid_until)
        other = others.exclude(pk=self.pk).first()
        if other is not None and self.valid_from != self.valid_until:
            raise ValidationError(f"Its days overlap with another price: {other}. End that one.")

    @property
    def has_begun(self) -> bool:
        """Return whether the price applies today or applied before."""
        return self.valid_from <= _today()

    @property
    def price(self) -> dict[str, Decimal]:
        """Return the prices that are set, by unit, in USD per million tokens."""
        prices = {unit: getattr(self, unit) for unit in PRICE_UNITS}
        return {unit: value for unit, value in prices.items() if value is not None}

    def __str__(self) -> str:
        until = f" until {self.valid_until}" if self.valid_until else ""
        return f"{self.ref} from {self.valid_from}{until}"


class PriceSeen(ModelRefMixin, models.Model):
    """A model's price as it was observed, recorded when it differs from the one before.

    ``seen_at`` is a full hour; the change happened shortly before it. Empty prices
    are unknown.
    """

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    seen_at = models.DateTimeField()
    source = models.CharField(max_length=20)
    input = money(null=True)
    output = money(null=True)
    cache_read = money(null=True)
    cache_write = money(null=True)
    cache_write_1h = money(null=True)
    steps = models.JSONField(
        default=list,
        blank=True,
        help_text="Prices of long requests: above input tokens, USD per million in and out.",
    )
    first = models.BooleanField(default=False, help_text="First price seen of this model.")

    class Meta:
        db_table = "price_history"
        verbose_name = "observed price"
        verbose_name_plural = "price history"
        ordering = ("-seen_at", "provider", "model")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model", "seen_at"], name="one_price_an_hour"
            )
        ]

    @property
    def words(self) -> str:
        """Return the input and output price as text."""
        if self.input is None:
            return "unknown"
        return f"{dollars(self.input)} in, {dollars(self.output)} out"

    def __str__(self) -> str:
        return f"{self.ref}: {self.words}"
