"""The page on which a model is added, or its tier, limits and features are changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics.access.audit import Actor
from optimizer.wiring.build import get_services
from optimizer.wiring.operation.catalogue_models import ModelStanding
from optimizer.wiring.operation.errors import SetElsewhere, UnknownTarget
from providers.catalogue import TIERS, TOKEN_KINDS
from providers.features import ALL, OF_MODELS
from routing.models import ModelRef

_GROUPS = (
    ("Model", ("provider", "model", "kind", "aliases")),
    ("Routing", ("tier", "able_as")),
    ("Limits", ("context_window", "max_output")),
    ("Features", ("capabilities", "lacks")),
    ("For people", ("note",)),
)
_IDENTITY = ("provider", "model", "kind")


def _boxes(values: tuple[str, ...], label: str) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        required=False,
        label=label,
        choices=[(value, value) for value in values],
        widget=forms.CheckboxSelectMultiple,
    )


class ModelForm(forms.Form):
    """A new model, or the fields of one that exists; ``standing`` is that one."""

    provider = forms.ChoiceField()
    model = forms.CharField(
        max_length=128,
        help_text="Its name, as the provider knows it.",
        widget=forms.TextInput(attrs={"size": 48, "autocomplete": "off"}),
    )
    kind = forms.ChoiceField(choices=[(kind, kind) for kind in TOKEN_KINDS])
    aliases = forms.CharField(
        required=False,
        max_length=2600,
        label="Other names",
        help_text="Separated by spaces. Requests may name the model by them, too.",
        widget=forms.TextInput(attrs={"size": 48, "autocomplete": "off"}),
    )
    tier = forms.ChoiceField(
        required=False,
        choices=[("", "–"), *((tier, tier) for tier in TIERS)],
        help_text="Prompts of this tier go to it. An embedding model has none.",
    )
    able_as = forms.CharField(
        required=False,
        max_length=128,
        label="As able as",
        help_text="A model whose published results it has. Empty: its own.",
        widget=forms.TextInput(attrs={"size": 48, "list": "models", "autocomplete": "off"}),
    )
    context_window = forms.IntegerField(
        min_value=1, help_text="Tokens of a request and its answer."
    )
    max_output = forms.IntegerField(
        required=False,
        min_value=1,
        label="Longest answer",
        help_text="Tokens. It gets no request that asks for more. Empty: not known.",
    )
    capabilities = _boxes(OF_MODELS, "It can")
    lacks = _boxes(ALL, "It lacks, of what its provider's API has")
    note = forms.CharField(
        required=False, max_length=200, widget=forms.TextInput(attrs={"size": 48})
    )

    def __init__(self, standing: ModelStanding | None, data: Any = None) -> None:
        initial = {"tier": TIERS[0]} if standing is None else _initial(standing)
        super().__init__(data, initial=initial)
        names = get_services().operation.models.may_be_added_to()
        if standing is not None:
            names = [standing.spec.provider]
            for name in _IDENTITY:
                self.fields[name].disabled = True
            for field in self.fields.values():
                field.disabled = field.disabled or bool(standing.set_by)
            for name in standing.set_here:
                if name in self.fields:
                    self.fields[name].help_text = f"{self.fields[name].help_text} Set here.".strip()
        self.fields["provider"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the fields under their headings."""
        return [(title, [self[name] for name in names]) for title, names in _GROUPS]

    @property
    def values(self) -> dict[str, Any]:
        """Return what differs from the model as it is, or all that was filled in of a new one."""
        data = {**self.cleaned_data, "aliases": self.cleaned_data["aliases"].split()}
        return {name: data[name] for name in self.changed_data if name not in ("provider", "model")}


def _initial(standing: ModelStanding) -> dict[str, Any]:
    spec = standing.spec
    return {
        "provider": spec.provider,
        "model": spec.id,
        "kind": spec.kind,
        "aliases": " ".join(spec.aliases),
        "tier": "" if spec.kind == "embedding" else spec.tier,
        "able_as": spec.able_as,
        "context_window": spec.context_window,
        "max_output": spec.max_output,
        "capabilities": sorted(spec.capabilities),
        "lacks": sorted(spec.lacks),
        "note": standing.note,
    }


def model_page(request: HttpRequest) -> HttpResponse:
    """Show the model that the query names, or a form for a new one; save it or forget changes."""
    user: Any = request.user
    if not user.has_perm("analytics.view_modelentry"):
        raise PermissionDenied
    models, who = get_services().operation.models, Actor(user.get_username())
    standing = _standing(request.GET.get("of", ""))
    may_change = user.has_perm("analytics.change_modelentry")
    form = ModelForm(standing)
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied
        if standing is not None and "forget" in request.POST:
            ref = ModelRef(standing.spec.provider, standing.spec.id)
            if _worked(None, lambda: models.reset(ref, who=who)):
                words = "is removed." if standing.added else "is as in the catalogue again."
                return _done(request, f"Model {ref} {words}")
        form = ModelForm(standing, request.POST)
        if form.is_valid() and _saved(form, standing, who):
            ref = ModelRef(form.cleaned_data["provider"], form.cleaned_data["model"])
            return _done(request, f"Model {ref} is {'added' if standing is None else 'changed'}.")
    context = {
        **admin.site.each_context(request),
        "title": "Add a model" if standing is None else f"Model {standing.spec.ref}",
        "standing": standing,
        "form": form,
        "known": sorted({spec.id for spec in get_services().catalogue.models}),
        "may_change": may_change and (standing is None or not standing.set_by),
    }
    return TemplateResponse(request, "admin/model.html", context)


def _standing(name: str) -> ModelStanding | None:
    if not name:
        return None
    try:
        return get_services().operation.models.standing(ModelRef.parse(name))
    except (ValueError, UnknownTarget):
        raise Http404(f"The catalogue has no model {name!r}.") from None


def _saved(form: ModelForm, standing: ModelStanding | None, who: Actor) -> bool:
    """Put the values into force; an error is shown at its field."""
    models = get_services().operation.models
    ref = ModelRef(form.cleaned_data["provider"], form.cleaned_data["model"])
    if standing is not None:
        return _worked(form, lambda: models.change(ref, form.values, who=who))
    values = {**form.values, **{name: form.cleaned_data[name] for name in ("kind", "tier")}}
    if values["kind"] == "embedding":
        values["tier"] = ""
    return _worked(form, lambda: models.add(ref, values, who=who))


def _worked(form: ModelForm | None, work: Callable[[], object]) -> bool:
    try:
        work()
    except (ValidationError, SetElsewhere, UnknownTarget) as error:
        if form is not None:
            form.add_error(None, error if isinstance(error, ValidationError) else str(error))
        return False
    return True


def _done(request: HttpRequest, words: str) -> HttpResponse:
    messages.success(request, f"{words} All workers apply this within a second.")
    return HttpResponseRedirect(reverse("admin:models"))
