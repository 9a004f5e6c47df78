"""The page of models and prices: what there is, what moved, what another price would do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from analytics.models.prices import PRICE_UNITS
from optimizer.pricing.prices import ModelPrice
from optimizer.wiring.build import get_services


class EffectForm(forms.Form):
    """A model at another price, USD per million tokens."""

    of = forms.CharField(
        label="Model",
        widget=forms.TextInput(attrs={"list": "refs", "size": 40, "autocomplete": "off"}),
    )
    input = forms.DecimalField(min_value=0, max_digits=20, decimal_places=10)
    output = forms.DecimalField(min_value=0, max_digits=20, decimal_places=10)
    cache_read = forms.DecimalField(
        min_value=0, max_digits=20, decimal_places=10, required=False, label="Cache read"
    )
    cache_write = forms.DecimalField(
        min_value=0, max_digits=20, decimal_places=10, required=False, label="Cache write"
    )

    def clean_of(self) -> tuple[str, str]:
        provider, _, model = self.cleaned_data["of"].strip().partition("/")
        spec = get_services().catalogue.find(provider, model)
        if spec is None:
            raise forms.ValidationError("The catalogue has no such model: provider/model.")
        return spec.provider, spec.id

    @property
    def price(self) -> dict[str, Decimal]:
        found = {unit: self.cleaned_data.get(unit) for unit in PRICE_UNITS}
        return {unit: value for unit, value in found.items() if value is not None}


def models_page(request: HttpRequest) -> HttpResponse:
    """The catalogue with its prices; with a query, what a price would have done to a month."""
    if not request.user.has_perm("analytics.view_priceseen"):  # type: ignore[union-attr]
        raise PermissionDenied
    keeper = get_services().price_service
    keeper.refresh()
    models = keeper.models()
    asked = "of" in request.GET
    form = EffectForm(request.GET if asked else None)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Models and prices",
        "models": models,
        "warnings": list(_warnings(models)),
        "moves": keeper.moves(),
        "form": form,
        "may_set": request.user.has_perm("analytics.add_priceoverride"),  # type: ignore[union-attr]
    }
    if asked and form.is_valid():
        provider, model = form.cleaned_data["of"]
        context["effect"] = keeper.effect(provider, model, form.price)
    return TemplateResponse(request, "admin/models.html", context)


def _warnings(models: list[ModelPrice]) -> Any:
    """What somebody should do something about, of models that can be chosen."""
    for model in models:
        if not model.enabled:
            continue
        if model.source == "unknown":
            yield f"No price is known for {model.spec.ref}: its requests count as of unknown cost."
        if model.deprecated:
            yield f"{model.spec.ref} is deprecated: its provider will take it away."
