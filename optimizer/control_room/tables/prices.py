"""The admin's prices: what operators set, and how prices moved."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from analytics.access.versioned_rows import save_followed
from analytics.admin.history import ReadOnlyAdmin
from analytics.models import PriceOverride, PriceSeen
from analytics.models.prices import PRICE_UNITS
from optimizer.wiring.build import get_services


class PriceOverrideForm(forms.ModelForm):
    """Takes a model of the catalogue by its name or an alias."""

    class Meta:
        model = PriceOverride
        fields = ("provider", "model", *PRICE_UNITS, "valid_from", "valid_until", "note")

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        provider, model = found.get("provider"), found.get("model")
        if provider and model:
            spec = get_services().catalogue.find(provider, model)
            if spec is None:
                known = f"The catalogue has no {provider}/{model}; the page “Models” lists it."
                raise ValidationError({"model": known})
            found["model"] = spec.id
        return found


@admin.register(PriceOverride)
class PriceOverrideAdmin(admin.ModelAdmin):
    """What has begun is ended, not changed or deleted: requests were priced by it."""

    form = PriceOverrideForm
    list_display = ("__str__", "input", "output", "valid_from", "valid_until", "note")
    list_filter = ("provider",)
    search_fields = ("provider", "model", "note")
    date_hierarchy = "valid_from"
    fieldsets = (
        ("Whose price", {"fields": ("provider", "model")}),
        (
            "USD per million tokens",
            {"fields": PRICE_UNITS, "description": "It takes the place of every other price."},
        ),
        ("When", {"fields": ("valid_from", "valid_until", "note")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or not obj.has_begun:
            return ()
        return ("provider", "model", *PRICE_UNITS, "valid_from")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and obj is not None and not obj.has_begun

    def save_model(self, request: HttpRequest, obj: PriceOverride, form: Any, change: bool) -> None:
        save_followed(obj)
        get_services().price_service.refresh()


@admin.register(PriceSeen)
class PriceSeenAdmin(ReadOnlyAdmin):
    """Every change of a price, from whatever source."""

    list_display = (
        "seen_at", "provider", "model", "input", "output", "cache_read", "cache_write", "source",
        "first",
    )  # fmt: skip
    list_filter = ("provider", "source", "first")
    search_fields = ("provider", "model")
    date_hierarchy = "seen_at"
    list_per_page = 50
