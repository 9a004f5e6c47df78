"""The form that sets one lever."""

from __future__ import annotations

from typing import Any

from django import forms

from analytics.models import Lever
from optimizer.gateway.levers.option_check import lever_options_check


class LeverForm(forms.ModelForm):  # type: ignore[type-arg]
    """How one lever is used."""

    class Meta:
        """The fields that operators set."""

        model = Lever
        fields = ("mode", "control_share", "harm_budget", "ramping", "options")
        widgets = {
            "mode": forms.RadioSelect,
            "options": forms.Textarea(attrs={"rows": 3, "cols": 30, "spellcheck": "false"}),
        }
        labels = {
            "control_share": "Share left alone",
            "harm_budget": "Harm budget",
            "ramping": "Ramp up",
            "options": "Its own settings (JSON)",
        }

    def clean_options(self) -> dict[str, Any]:
        """Return the lever's own settings; what the lever cannot use is an error."""
        options = self.cleaned_data["options"]
        if not isinstance(options or {}, dict):
            raise forms.ValidationError('Write a JSON object such as {"level": "low"}.')
        try:
            lever_options_check(self.instance.name, options or {})
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return options or {}
