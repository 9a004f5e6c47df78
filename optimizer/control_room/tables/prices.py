"""Model admins of prices: those that operators set, and the history of price changes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from analytics.admin.history import ReadOnlyAdmin
from analytics.models import PriceOverride, PriceSeen
from analytics.models.prices import PRICE_UNITS
from analytics.prices import override_save
from optimizer.wiring.build import get_services


class PriceOverrideForm(forms.ModelForm):
    """A price for a model of the catalogue, which may be given by its id or an alias."""

    class Meta:
        model = PriceOverride
        fields = ("provider", "model", *PRICE_UNITS, "valid_from", "valid_until", "note")

    def clean(self) -> dict[str, Any]:
        """Check that the catalogue has the model, and replace an alias by the model's id."""
        data = super().clean() or {}
        provider, model = data.get("provider"), data.get("model")
        if provider and model:
            spec = get_services().catalogue.find(provider, model)
            if spec is None:
                message = f"The catalogue has no {provider}/{model}; see the page “Models”."
                raise ValidationError({"model": message})
            data["model"] = spec.id
        return data


@admin.register(PriceOverride)
class PriceOverrideAdmin(admin.ModelAdmin):
    """Prices that operators set.

    A price that is already valid can only be ended, not changed or deleted, because requests were
    priced by it.
    """

    form = PriceOverrideForm
    list_display = ("__str__", "input", "output", "valid_from", "valid_until", "note")
    list_filter = ("provider",)
    search_fields = ("provider", "model", "note")
    date_hierarchy = "valid_from"
    fieldsets = (
        ("Model", {"fields": ("provider", "model")}),
        (
            "USD per million tokens",
            {
                "fields": PRICE_UNITS,
                "description": "This price replaces every other price of the model.",
            },
        ),
        ("When", {"fields": ("valid_from", "valid_until", "note")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return all fields but the end and the note, if the price is already valid."""
        if obj is None or not obj.has_begun:
            return ()
        return ("provider", "model", *PRICE_UNITS, "valid_from")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may delete ``obj``, which must not be valid yet."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and obj is not None and not obj.has_begun

    def save_model(self, request: HttpRequest, obj: PriceOverride, form: Any, change: bool) -> None:
        """Save the price, and apply it in this worker at once."""
        override_save(obj)
        get_services().price_service.refresh()


@admin.register(PriceSeen)
class PriceSeenAdmin(ReadOnlyAdmin):
    """The history of price changes from all sources, read-only."""

    list_display = (
        "seen_at", "provider", "model", "input", "output", "cache_read", "cache_write", "source",
        "first",
    )  # fmt: skip
    list_filter = ("provider", "source", "first")
    search_fields = ("provider", "model")
    date_hierarchy = "seen_at"
    list_per_page = 50
