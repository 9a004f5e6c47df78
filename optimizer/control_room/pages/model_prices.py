"""The page "Models and prices": the catalogue, price changes, the effect of another price."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics.access.audit import Actor
from analytics.models.prices import PRICE_UNITS
from optimizer.pricing.prices import ModelPrice
from optimizer.quality.model_comparison import (
    compared_models,
    comparison_lines,
    model_comparison,
)
from optimizer.wiring.build import get_services
from optimizer.wiring.operation.errors import UnknownTarget
from optimizer.wiring.routing import installed_abilities
from routing.models import ModelRef

_MOST_MOVES = 100


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

    def clean_of(self) -> ModelRef:
        """Return the provider and the id of the model; an unknown model is an error."""
        spec = None
        with suppress(ValueError):
            spec = get_services().catalogue.find(*ModelRef.parse(self.cleaned_data["of"].strip()))
        if spec is None:
            raise forms.ValidationError(
                "The catalogue has no such model. Write it as provider/model."
            )
        return ModelRef(spec.provider, spec.id)

    @property
    def price(self) -> dict[str, Decimal]:
        """The given rates by unit, USD per million tokens."""
        rates = {unit: self.cleaned_data.get(unit) for unit in PRICE_UNITS}
        return {unit: rate for unit, rate in rates.items() if rate is not None}


def models_page(request: HttpRequest) -> HttpResponse:
    """Show the catalogue with its prices, and the effect of the price in the query, if any.

    A POST switches a model off or on.
    """
    user: Any = request.user
    if not user.has_perm("analytics.view_priceseen"):
        raise PermissionDenied
    if request.method == "POST":
        return _switch(request)
    services = get_services()
    services.operation.refresh()
    price_service = services.price_service
    price_service.refresh()
    models, moves = price_service.models(), price_service.changes()
    submitted = "of" in request.GET
    form = EffectForm(request.GET if submitted else None)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Models and prices",
        "models": models,
        "warnings": list(_warnings(models, _reference())),
        "comparison": _comparison(models),
        "moves": moves[:_MOST_MOVES],
        "more_moves": max(0, len(moves) - _MOST_MOVES),
        "form": form,
        "may_set": user.has_perm("analytics.add_priceoverride"),
        "may_switch": user.has_perm("analytics.change_modelswitch"),
        "may_change": user.has_perm("analytics.change_modelentry"),
        "set_here": _set_here(),
    }
    if submitted and form.is_valid():
        provider, model = form.cleaned_data["of"]
        context["effect"] = price_service.effect(provider, model, form.price)
    return TemplateResponse(request, "admin/models.html", context)


def _switch(request: HttpRequest) -> HttpResponse:
    """Switch the model off or on that the pressed button names."""
    user: Any = request.user
    if not user.has_perm("analytics.change_modelswitch"):
        raise PermissionDenied
    name = request.POST.get("off") or request.POST.get("on") or ""
    off = bool(request.POST.get("off"))
    try:
        ref = ModelRef.parse(name)
        get_services().operation.switch(ref, off=off, who=Actor(user.get_username()))
    except (ValueError, UnknownTarget):
        raise Http404(f"The catalogue has no model {name!r}.") from None
    words = "is off: no request is sent to it." if off else "is on again."
    messages.success(request, f"Model {ref} {words} All workers apply this within a second.")
    return HttpResponseRedirect(reverse("admin:models"))


def _set_here() -> dict[str, str]:
    """Return where each model comes from, by "provider/model", unless it is the catalogue alone."""
    words = {}
    for standing in get_services().operation.models.standings():
        if standing.set_by:
            words[standing.spec.ref] = standing.set_by
        elif standing.added or standing.set_here:
            words[standing.spec.ref] = "added here" if standing.added else "changed here"
    return words


def _comparison(models: list[ModelPrice]) -> list[str]:
    """Return what published results say of the configured models: best, dominated, alike."""
    rates = {(model.spec.provider, model.spec.id): model.rates for model in models}
    specs = [model.spec for model in models if model.enabled and model.spec.kind == "chat"]
    compared = compared_models(specs, lambda *ref: rates[ref], installed_abilities())
    return comparison_lines(model_comparison(compared))


def _reference() -> ModelRef | None:
    """Return the model whose quality the guarantee keeps, ``None`` without a guarantee."""
    guarantee = get_services().guarantee.guarantee()
    return guarantee.reference if guarantee is not None else None


def _warnings(models: list[ModelPrice], reference: ModelRef | None) -> Any:
    """Yield the problems of configured models that an operator should solve."""
    for model in models:
        if model.off and ModelRef(model.spec.provider, model.spec.id) == reference:
            yield f"{model.spec.ref} is off, so the guarantee that names it covers no request."
        if not model.enabled:
            continue
        # Some models for ranking have none, which matters only to those who use them.
        used = model.spec.kind in ("chat", "embedding") or model.requests
        if model.source == "unknown" and used:
            yield f"No price is known for {model.spec.ref}: the cost of its requests is unknown."
        if model.deprecated:
            yield f"{model.spec.ref} is deprecated: its provider will remove it."
