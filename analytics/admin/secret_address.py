"""Forms of what holds the address of a webhook, which is a secret: only its end is shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from analytics.encryption import UNREADABLE
from analytics.models.notification_target import masked_address


class SecretAddressForm(forms.ModelForm):
    """Shows a masked address in place of the secret.

    Left as it is, the field keeps the address; emptied, it removes it; anything else replaces it.
    """

    hidden_field = "webhook"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._kept = getattr(self.instance, self.hidden_field)
        field = self.fields.get(self.hidden_field)
        if field is not None:
            field.widget = forms.TextInput(
                attrs={"class": "vLargeTextField", "autocomplete": "off", "spellcheck": "false"}
            )
            self.initial[self.hidden_field] = masked_address(self._kept)

    def clean(self) -> dict[str, Any]:
        """Put the kept address in place of its mask."""
        data = super().clean() or self.cleaned_data
        if self._kept and data.get(self.hidden_field) == masked_address(self._kept):
            if self._kept == UNREADABLE:
                text = "It is encrypted with a key that is not configured. Enter it again."
                self.add_error(self.hidden_field, text)
            else:
                data[self.hidden_field] = self._kept
        return data


class ChannelForm(SecretAddressForm):
    """The form of a channel of notifications."""

    hidden_field = "address"


class NotifyingForm(SecretAddressForm):
    """The form of what must notify somebody: a channel, a webhook or an e-mail address."""

    def clean(self) -> dict[str, Any]:
        """Raise ``ValidationError`` without anybody to notify."""
        data = super().clean()
        if not (data.get("channels") or data.get("webhook") or data.get("emails")):
            raise forms.ValidationError("Choose a channel, or give a webhook or an e-mail address.")
        return data


class MaskedAddressMixin:
    """Shows the masked address to users who may look, and change nothing."""

    hidden_field = "webhook"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fieldsets; without the right to change, the mask in the secret's place."""
        fieldsets = super().get_fieldsets(request, obj)  # type: ignore[misc]
        if obj is None or self.has_change_permission(request, obj):  # type: ignore[attr-defined]
            return fieldsets
        return [
            (
                title,
                {
                    **options,
                    "fields": [
                        "masked" if name == self.hidden_field else name
                        for name in options["fields"]
                    ],
                },
            )
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the read-only fields, among them the mask."""
        return (*super().get_readonly_fields(request, obj), "masked")  # type: ignore[misc]

    @admin.display(description="webhook")
    def masked(self, row: Any) -> str:
        """Return the masked address."""
        return masked_address(getattr(row, self.hidden_field)) or "–"
