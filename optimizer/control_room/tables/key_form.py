"""The form of an API key: for whom, how much it may cost, which models, until when."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteMixin
from django.core.exceptions import ValidationError
from django.urls import reverse_lazy

from analytics.access.developers import developer_named
from analytics.access.roles import ScopesBeyondRights, scopes_check
from analytics.admin.fields import ChoicesField, LinesField, UtcDateTimeField
from analytics.models import ApiKey, Budget
from analytics.models.keys import SCOPES, default_scopes
from analytics.money import dollars

_PERIODS = [
    (period.value, f"a {period.label}")
    for period in (Budget.Period.DAY, Budget.Period.WEEK, Budget.Period.MONTH)
]


class NameSelect(forms.Select):
    """A text that is completed by names the server knows, with the script of Django's autocomplete.

    A name that the server does not know is taken as it is typed.
    """

    def __init__(self, url: Any, placeholder: str) -> None:
        super().__init__()
        self._url, self._placeholder = url, placeholder

    @property
    def media(self) -> forms.Media:
        """Return the scripts and styles of Django's own autocomplete."""
        return AutocompleteMixin(None, admin.site).media

    def build_attrs(self, base_attrs: Any, extra_attrs: Any = None) -> dict[str, Any]:
        """Return the attributes that the script reads; ``data-tags`` admits new names."""
        return {
            **super().build_attrs(base_attrs, extra_attrs),
            "class": "admin-autocomplete",
            "data-ajax--cache": "true",
            "data-ajax--delay": 200,
            "data-ajax--type": "GET",
            "data-ajax--url": str(self._url),
            "data-allow-clear": "true",
            "data-placeholder": self._placeholder,
            "data-tags": "true",
            "data-theme": "admin-autocomplete",
        }

    def optgroups(self, name: str, value: Any, attrs: Any = None) -> Any:
        """Return the only option that is known without the server: the current name."""
        self.choices = [("", ""), *((text, text) for text in value if text)]
        return super().optgroups(name, value, attrs)


class KeyForm(forms.ModelForm):
    """Edits what a key may do and its limits.

    If ``user`` is a developer's name, that developer owns the key. The admin sets
    ``filled_in_by`` to the user who fills in the form.
    """

    filled_in_by: Any = None
    user = forms.CharField(
        label="User",
        required=False,
        max_length=128,
        widget=NameSelect(reverse_lazy("admin:analytics_apikey_users"), "A name"),
        help_text="User of all its requests. A developer also sees the key at /me. "
        "Empty: the user that the client names.",
    )
    scopes = ChoicesField(
        SCOPES,
        required=True,
        initial=default_scopes,
        help_text="read: the statistics of all tenants, for reports and dashboards. "
        "manage: what programs may change by the management API.",
    )
    model_names = LinesField(
        label="Models", help_text="Allowed models, one per line, with * and ?; empty: all."
    )
    addresses = LinesField(help_text="Allowed IP addresses or networks, one per line; empty: all.")
    residency = LinesField(
        help_text="One region per line, such as eu: the data stays within all of them. Empty: "
        "anywhere."
    )
    expires_at = UtcDateTimeField(label="Expires at (UTC)", help_text="Empty: never.")

    class Meta:
        model = ApiKey
        fields = (
            "name", "user", "team", "project", "scopes", "model_names", "addresses",
            "requests_per_minute", "tokens_per_minute", "concurrent_requests",
            "quality_target", "cost_cap", "auto_route", "strict", "residency", "expires_at",
        )  # fmt: skip

    def clean_scopes(self) -> list[str]:
        """Return the scopes. Raises ``ValidationError`` if they exceed the rights of the user."""
        scopes: list[str] = self.cleaned_data["scopes"]
        try:
            scopes_check(self.filled_in_by, scopes)
        except ScopesBeyondRights as error:
            raise ValidationError(str(error)) from None
        return scopes

    def clean(self) -> dict[str, Any]:
        """Return what was typed, with the ``developer`` whom the user is."""
        typed: dict[str, Any] = super().clean() or {}
        name = typed.get("user") or ""
        typed["developer"] = developer_named(name) if name else None
        return typed


class NewKeyForm(KeyForm):
    """A new key and, if an amount is given, the budget of what it may spend."""

    budget_limit = forms.DecimalField(
        label="May spend, USD",
        required=False,
        min_value=Decimal(0),
        max_digits=20,
        decimal_places=10,
        widget=forms.NumberInput({"step": "any"}),
        help_text="Empty: no budget of its own.",
    )
    budget_period = forms.ChoiceField(
        label="Each", choices=_PERIODS, initial=Budget.Period.DAY, required=False
    )
    budget_at_limit = forms.ChoiceField(
        label="At the limit",
        choices=Budget.AtLimit.choices,
        initial=Budget.AtLimit.REFUSE,
        required=False,
    )

    def budget(self) -> Budget | None:
        """Return the budget that was asked for, without its key; ``None`` without an amount."""
        limit = self.cleaned_data.get("budget_limit")
        if limit is None:
            return None
        period = self.cleaned_data.get("budget_period") or Budget.Period.DAY
        return Budget(
            name=f"{self.cleaned_data['name']}: {dollars(limit)} a {period}"[:100],
            limit=limit,
            period=period,
            at_limit=self.cleaned_data.get("budget_at_limit") or Budget.AtLimit.REFUSE,
        )

    def clean(self) -> dict[str, Any]:
        """Return what was typed. Raises ``ValidationError`` if the budget's name is taken."""
        typed = super().clean()
        if typed.get("name") and typed.get("budget_limit") is not None:
            budget = self.budget()
            if budget is not None and Budget.objects.filter(name=budget.name).exists():
                raise ValidationError(
                    {"name": f"There is a budget {budget.name!r}: choose another name."}
                )
        return typed
