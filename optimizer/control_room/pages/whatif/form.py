"""The form of "What if": up to four policies, and the past requests to estimate them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from optimizer.domain.model_names import ModelNames
from optimizer.policies.policy import PolicyError, PolicySpec, read_policy

MOST_POLICIES = 4


class PolicyInputs(forms.Widget):
    """As many text inputs of one name as there may be policies."""

    template_name = "admin/whatif_policies.html"

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        """Return the texts of all inputs that are not blank."""
        return [text.strip() for text in data.getlist(name) if text.strip()]

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Return what the template needs: a text for each input."""
        texts = list(value or ())[:MOST_POLICIES]
        context = super().get_context(name, value, attrs)
        context["inputs"] = [*texts, *[""] * (MOST_POLICIES - len(texts))]
        return context

    def id_for_label(self, id_: str) -> str:
        """Return the id of the first input."""
        return f"{id_}_1"


class PoliciesField(forms.Field):
    """One to four policies, written as for ``manage.py whatif``; files are not accepted."""

    widget = PolicyInputs

    def __init__(self, names: ModelNames, **options: Any) -> None:
        self._names = names
        super().__init__(**options)

    def clean(self, value: Sequence[str]) -> list[PolicySpec]:
        """Return the policies, each once; an unknown one is an error."""
        super().clean(value)
        if len(value) > MOST_POLICIES:
            raise forms.ValidationError(f"Compare at most {MOST_POLICIES} policies.")
        return [self._read(text) for text in dict.fromkeys(value)]

    def _read(self, text: str) -> PolicySpec:
        if text.endswith(".toml"):
            raise forms.ValidationError("Policy files work only with manage.py whatif.")
        try:
            return read_policy(text, self._names)
        except PolicyError as error:
            raise forms.ValidationError(str(error)) from None


class WhatIfForm(forms.Form):
    """The policies, the number of past days, and whether requests that name a model count too."""

    days = forms.IntegerField(initial=30, min_value=1, max_value=365)
    named = forms.BooleanField(
        required=False,
        label="Include requests that name a model",
        help_text="As if they left the choice to routing.",
    )

    def __init__(self, names: ModelNames, data: Any = None) -> None:
        super().__init__(data)
        self.fields["policy"] = PoliciesField(
            names,
            label="Policies",
            initial=["hybrid"],
            help_text="Strategies or models, up to four. Append @0.8 to set the quality target.",
        )
        self.order_fields(["policy", "days", "named"])
