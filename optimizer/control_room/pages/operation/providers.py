"""The page "Providers": their keys, which are added, tested and removed without a restart."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics.access.audit import Actor
from optimizer.wiring.build import get_services
from optimizer.wiring.operation.errors import SetElsewhere, UnknownTarget
from optimizer.wiring.operation.providers import ProviderStanding


class ProviderKeyForm(forms.Form):
    """A new key of a provider. What was typed is never sent back."""

    provider = forms.ChoiceField()
    secret = forms.CharField(
        label="API key",
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "size": 48}),
        help_text="It is stored encrypted, and never shown again.",
    )
    note = forms.CharField(
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"size": 48}),
        help_text="Whose account it is, for people.",
    )

    def __init__(self, standings: list[ProviderStanding], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        names = [s.spec.name for s in standings if s.takes_keys and not s.set_by]
        self.fields["provider"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]


def providers_page(request: HttpRequest) -> HttpResponse:
    """Show the providers and where their keys come from, or add or remove a key."""
    user: Any = request.user
    if not user.has_perm("analytics.view_providerkey"):
        raise PermissionDenied
    operation = get_services().operation
    who = Actor(user.get_username())
    if request.method == "POST" and "remove" in request.POST:
        if not user.has_perm("analytics.delete_providerkey"):
            raise PermissionDenied
        return _remove(request, who)
    standings = operation.standings()
    form = ProviderKeyForm(standings)
    if request.method == "POST":
        if not user.has_perm("analytics.add_providerkey"):
            raise PermissionDenied
        form = ProviderKeyForm(standings, request.POST)
        if form.is_valid() and _added(form, who):
            name = form.cleaned_data["provider"]
            messages.success(
                request, f"The key of {name} is stored. All workers use it within a second."
            )
            return HttpResponseRedirect(f"{reverse('admin:providers')}#{name}")
    context = {
        **admin.site.each_context(request),
        "title": "Providers",
        "standings": [
            (standing, [(key, standing.unused_because(key)) for key in standing.stored])
            for standing in standings
        ],
        "pools": get_services().caller.pools.values(),
        "form": form,
        "may_add": user.has_perm("analytics.add_providerkey"),
        "may_remove": user.has_perm("analytics.delete_providerkey"),
        "may_ask": user.has_perm("analytics.ask_requestrecord"),
    }
    return TemplateResponse(request, "admin/providers.html", context)


def _added(form: ProviderKeyForm, who: Actor) -> bool:
    """Store the key; an error is shown at its field."""
    try:
        get_services().operation.add_key(**form.cleaned_data, who=who)
    except ValidationError as error:
        form.add_error(None, error)
        return False
    except SetElsewhere as error:
        form.add_error("provider", str(error))
        return False
    return True


def _remove(request: HttpRequest, who: Actor) -> HttpResponse:
    provider, _, number = request.POST["remove"].rpartition("/")
    try:
        get_services().operation.remove_key(provider, int(number), who=who)
    except (ValueError, UnknownTarget):
        raise Http404("There is no such key.") from None
    messages.success(
        request, f"A key of {provider} is removed. No worker begins a call with it after a second."
    )
    return HttpResponseRedirect(reverse("admin:providers"))
