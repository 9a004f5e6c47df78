"""Forms of what holds the address of a webhook, which is a secret: only its end is shown."""

from __future__ import annotations

from typing import Any

from django import forms

from analytics.models.notification_target import masked_address


class SecretAddressForm(forms.ModelForm):
    """Shows a masked address in place of the secret.

    Left as it is, the field keeps the address; emptied, it removes it; anything else replaces it.
    """

    secret_name = "webhook"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._kept = getattr(self.instance, self.secret_name)
        field = self.fields.get(self.secret_name)
        if field is not None:
            field.widget = forms.TextInput(
                attrs={"class": "vLargeTextField", "autocomplete": "off", "spellcheck": "false"}
            )
            self.initial[self.secret_name] = masked_address(self._kept)

    def _clean_fields(self) -> None:
        """Put the kept address in place of its mask."""
        super()._clean_fields()  # type: ignore[misc]
        given = self.cleaned_data.get(self.secret_name)
        if self._kept and given == masked_address(self._kept):
            self.cleaned_data[self.secret_name] = self._kept


class ChannelForm(SecretAddressForm):
    """The form of a channel of notifications."""

    secret_name = "address"


class NotifyingForm(SecretAddressForm):
    """The form of what must notify somebody: a channel, a webhook or an e-mail address."""

    def clean(self) -> dict[str, Any]:
        """Raise ``ValidationError`` without anybody to notify."""
        data = super().clean() or self.cleaned_data
        if not (data.get("channels") or data.get("webhook") or data.get("emails")):
            raise forms.ValidationError("Choose a channel, or give a webhook or an e-mail address.")
        return data
