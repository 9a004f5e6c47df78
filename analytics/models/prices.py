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

from analytics.money import dollars, money

PRICE_UNITS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
"""USD per million tokens each; the last three are of the provider's prompt cache."""


def _today() -> date:
    return datetime.now(UTC).date()


def _price(**options: Any) -> models.DecimalField:
    return money(validators=[MinValueValidator(Decimal(0))], **options)


class PriceOverride(models.Model):
    """What a model costs on certain days, whatever the price table says.

    USD per million tokens, on UTC days from ``valid_from`` until before
    ``valid_until``. What it was on a day that has begun is history: only its end
    can be moved then, and not into the past.
    """

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    input = _price(help_text="USD per million input tokens.")
    output = _price(help_text="USD per million output tokens.")
    cache_read = _price(
        null=True, blank=True, help_text="Read from the prompt cache; empty: as other input."
    )
    cache_write = _price(
        null=True, blank=True, help_text="Written to the prompt cache; empty: as other input."
    )
    cache_write_1h = _price(
        null=True, blank=True, help_text="Written for an hour; empty: as other writing."
    )
    valid_from = models.DateField(default=_today, help_text="UTC. Today: at once.")
    valid_until = models.DateField(
        null=True,
        blank=True,
        help_text="The first day, UTC, on which it no longer holds. Empty: no end.",
    )
    note = models.CharField(max_length=200, blank=True, help_text="Why: a contract, a discount.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "price_overrides"
        ordering = ("provider", "model", "-valid_from")

    def clean(self) -> None:
        super().clean()
        if self.valid_from is None:
            return  # its own message says so
        if self.valid_until is not None and self.valid_until < self.valid_from:
            raise ValidationError({"valid_until": "It would end before it begins."})
        before = PriceOverride.objects.filter(pk=self.pk).first() if self.pk else None
        if before is None or before.valid_from != self.valid_from:
            self._begin_no_earlier_than_today()
        if before is not None and before.has_begun:
            self._leave_history_alone(before)
        self._meet_no_other()

    def _begin_no_earlier_than_today(self) -> None:
        if self.valid_from < _today():
            raise ValidationError(
                {"valid_from": "It is past: what requests cost then has been recorded."}
            )

    def _leave_history_alone(self, before: PriceOverride) -> None:
        for name in ("provider", "model", "valid_from", *PRICE_UNITS):
            if getattr(self, name) != getattr(before, name):
                message = "It holds already. End it, and add another."
                raise ValidationError({name: message})
        if self.valid_until == before.valid_until:
            return
        ended = before.valid_until is not None and before.valid_until < _today()
        if ended or (self.valid_until is not None and self.valid_until < _today()):
            raise ValidationError({"valid_until": "The past is recorded: today at the earliest."})

    def _meet_no_other(self) -> None:
        others = PriceOverride.objects.filter(provider=self.provider, model=self.model)
        others = others.filter(Q(valid_until=None) | Q(valid_until__gt=self.valid_from))
        if self.valid_until is not None:
            others = others.filter(valid_from__lt=self.valid_until)
        other = others.exclude(pk=self.pk).first()
        if other is not None and self.valid_from != self.valid_until:
            raise ValidationError(f"It would hold at the same time as another: {other}. End that.")

    @property
    def has_begun(self) -> bool:
        return self.valid_from <= _today()

    @property
    def price(self) -> dict[str, Decimal]:
        """USD per million tokens, of the units that it sets."""
        found = {unit: getattr(self, unit) for unit in PRICE_UNITS}
        return {unit: value for unit, value in found.items() if value is not None}

    def __str__(self) -> str:
        until = f" until {self.valid_until}" if self.valid_until else ""
        return f"{self.provider}/{self.model} from {self.valid_from}{until}"


class PriceSeen(models.Model):
    """A model's price as it was found, where it differs from how it was found before.

    ``seen_at`` is an hour: it cannot have changed long before. Empty prices are unknown.
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
        help_text="Of long requests: above so many input tokens, USD per million in and out.",
    )
    first = models.BooleanField(default=False, help_text="The model had not been seen before.")

    class Meta:
        db_table = "price_history"
        verbose_name = "price as seen"
        verbose_name_plural = "price history"
        ordering = ("-seen_at", "provider", "model")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model", "seen_at"], name="one_price_an_hour"
            )
        ]

    @property
    def words(self) -> str:
        """Input and output, as people say them."""
        if self.input is None:
            return "unknown"
        return f"{dollars(self.input)} in, {dollars(self.output)} out"

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}: {self.words}"
