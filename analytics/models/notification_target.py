"""Columns of whatever tells people of something: whom."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.db import models


class NotificationTarget(models.Model):
    """A webhook and e-mail addresses; either may be empty."""

    webhook = models.URLField(
        max_length=500,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="Gets a JSON POST whose text field chat services show as it is.",
    )
    emails = models.CharField(max_length=500, blank=True, help_text="Separated by commas.")

    class Meta:
        abstract = True

    @property
    def recipients(self) -> list[str]:
        return [address.strip() for address in self.emails.split(",") if address.strip()]

    def clean(self) -> None:
        for address in self.recipients:
            try:
                validate_email(address)
            except ValidationError:
                raise ValidationError({"emails": f"{address!r} is no e-mail address."}) from None
