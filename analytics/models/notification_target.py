"""Tables: notification_channels; and the columns of models that send notifications."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.db import models
from django.utils import timezone

from analytics.encryption import UNREADABLE, EncryptedTextField

_SHOWN_END = 4
_FEWEST_HIDDEN = 12


def masked_address(address: str) -> str:
    """Return a webhook's address for people: its host, and the end that tells it from others."""
    if address in ("", UNREADABLE):
        return address
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return "…"
    hidden = len(address) - len(f"{parts.scheme}://{host}")
    end = address[-_SHOWN_END:] if hidden > _FEWEST_HIDDEN else ""
    return f"{parts.scheme}://{host}/…{end}"


def check_address(address: str, *, tls_only: bool = False) -> None:
    """Raise ``ValidationError`` if a webhook's address is no URL of HTTP."""
    schemes = ["https"] if tls_only else ["http", "https"]
    try:
        URLValidator(schemes=schemes)(address)
        urlsplit(address).port  # noqa: B018 - raises where it is no port
    except (ValidationError, ValueError):
        kind = "an https:// address" if tls_only else "a valid URL"
        raise ValidationError(f"Enter {kind}.") from None
    if len(address) > 2000:
        raise ValidationError("The address has more than 2,000 characters.")


def _addresses(emails: str) -> list[str]:
    return [address.strip() for address in emails.split(",") if address.strip()]


def _check_emails(emails: str) -> None:
    for address in _addresses(emails):
        try:
            validate_email(address)
        except ValidationError:
            raise ValidationError({"emails": f"{address!r} is not an e-mail address."}) from None


class NotificationChannel(models.Model):
    """A place that notifications go to: a channel of Slack or Teams, a webhook, mailboxes.

    ``address`` is a secret: who knows it can write there. It is encrypted at rest if
    ``ENCRYPTION_KEY`` is set, and never shown whole.
    """

    class Kind(models.TextChoices):
        """What receives the notifications; it decides their format."""

        SLACK = "slack", "Slack"
        TEAMS = "teams", "Microsoft Teams (Workflows)"
        WEBHOOK = "webhook", "webhook, signed JSON"
        EMAIL = "email", "e-mail"

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.SLACK)
    address = EncryptedTextField(
        blank=True, help_text="The webhook's address. It is a secret, and only its end is shown."
    )
    emails = models.CharField(max_length=500, blank=True, help_text="Separated by commas.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "notification_channels"
        ordering = ("name",)

    @property
    def recipients(self) -> list[str]:
        """Return the e-mail addresses."""
        return _addresses(self.emails)

    @property
    def shown_address(self) -> str:
        """Return where notifications go, without the secret."""
        return self.emails if self.kind == self.Kind.EMAIL else masked_address(self.address)

    def clean(self) -> None:
        """Raise ``ValidationError`` if the channel has no address of its kind."""
        if self.kind == self.Kind.EMAIL:
            if not self.recipients:
                raise ValidationError({"emails": "Give at least one e-mail address."})
            if self.address:
                raise ValidationError({"address": "Leave it empty for e-mail."})
        else:
            if self.emails:
                raise ValidationError({"emails": "Only a channel of the kind e-mail has them."})
            if not self.address:
                raise ValidationError({"address": "Give the webhook's address."})
            try:
                check_address(self.address, tls_only=self.kind != self.Kind.WEBHOOK)
            except ValidationError as error:
                raise ValidationError({"address": error.messages}) from None
        _check_emails(self.emails)

    def __str__(self) -> str:
        return self.name


class NotificationTarget(models.Model):
    """Channels, a webhook and e-mail addresses to notify; each may be empty."""

    channels = models.ManyToManyField(NotificationChannel, blank=True, related_name="%(class)ss")
    webhook = EncryptedTextField(
        blank=True,
        help_text="Receives a JSON POST. Chat services show its text field. It is a secret, and "
        "only its end is shown.",
    )
    emails = models.CharField(max_length=500, blank=True, help_text="Separated by commas.")

    class Meta:
        abstract = True

    @property
    def recipients(self) -> list[str]:
        """Return the e-mail addresses."""
        return _addresses(self.emails)

    def clean(self) -> None:
        """Raise ``ValidationError`` for an invalid e-mail or webhook address."""
        if self.webhook:
            try:
                check_address(self.webhook)
            except ValidationError as error:
                raise ValidationError({"webhook": error.messages}) from None
        _check_emails(self.emails)
