"""Columns of models that send notifications: the recipients."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.db import models


class NotificationTarget(models.Model):
    """A webhook and e-mail addresses to notify; either may be empty."""

    webhook = models.URLField(
        max_length=500,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="Receives a JSON POST. Chat services show its text field.",
    )
    emails = models.CharField(max_length=500, blank=True, help_text="Separated by commas.")

    class Meta:
        abstract = True

    @property
    def recipients(self) -> list[str]:
        """Return the e-mail addresses."""
        return [address.strip() for address in self.emails.split(",") if address.strip()]

    def clean(self) -> None:
        """Raise ``ValidationError`` for an invalid e-mail address."""
        for address in self.recipients:
            try:
                validate_email(address)
            except ValidationError:
                raise ValidationError(
                    {"emails": f"{address!r} is not an e-mail address."}
                ) from None
