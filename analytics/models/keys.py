"""Tables: teams, projects, api_keys."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from analytics.models.columns import residency_field
from analytics.money import money

MANAGE_SCOPES = (
    "manage:read",
    "manage:providers",
    "manage:models",
    "manage:policies",
    "manage:budgets",
    "manage:keys",
    "manage:alerts",
)
"""``manage:read``: read all that the management API shows. The others: change that area."""
SCOPES = ("complete", "feedback", "read", *MANAGE_SCOPES)
"""``complete``: ask for completions. ``feedback``: rate answers to own requests. ``read``: read the
statistics of all tenants, not only of the key's own. ``manage:``: see :data:`MANAGE_SCOPES`."""

_LIST: dict[str, Any] = {"default": list, "blank": True}


def default_scopes() -> list[str]:
    """Return the scopes of a new key."""
    return ["complete", "feedback"]


class Team(models.Model):
    """A team: its keys share cached answers and see no other team's."""

    name = models.CharField(max_length=64, unique=True)

    class Meta:
        db_table = "teams"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Project(models.Model):
    """A project that keys belong to; every request made with them carries its tags."""

    name = models.CharField(max_length=64, unique=True)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT)
    tags = models.JSONField(**_LIST)

    class Meta:
        db_table = "projects"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A client's API key.

    Only its SHA-256 is stored: the key is random, so no slower hash is needed.
    ``changed_at`` is set by every change that workers must reload. ``developer`` is the person
    who owns it, ``template`` what that person made it by, if an operator did not make it.
    """

    name = models.CharField(max_length=100, unique=True)
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    origin = models.CharField(
        max_length=16,
        default="",
        editable=False,
        help_text="Prefix of the first key that this one replaces.",
    )
    user = models.CharField(
        max_length=128,
        blank=True,
        help_text="User of all its requests; empty: the user that the client names.",
    )
    developer = models.ForeignKey(
        "analytics.Developer",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="keys",
    )
    template = models.ForeignKey(
        "analytics.KeyTemplate",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
    )
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT)
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.PROTECT)
    scopes = models.JSONField(default=default_scopes)
    model_names = models.JSONField("models", **_LIST)
    addresses = models.JSONField(**_LIST)
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Input and output tokens together.",
    )
    concurrent_requests = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Requests in progress at the same time.",
    )
    quality_target = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="0 to 1. A request may ask for more, not for less.",
    )
    cost_cap = money(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Most that a request may cost, USD. A request may set less.",
    )
    auto_route = models.BooleanField(
        default=False, help_text="Learned routing for /complete if a request does not choose."
    )
    strict = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Refuse a request rather than leave out fields that a model does not take.",
    )
    residency = residency_field()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "api_keys"
        verbose_name = "API key"
        ordering = ("name",)
        indexes = [models.Index(fields=["-changed_at"], name="api_keys_changed")]

    def clean(self) -> None:
        """Raise ``ValidationError`` for unknown scopes, bad addresses or another team's project."""
        if unknown := set(self.scopes) - set(SCOPES):
            raise ValidationError({"scopes": f"Unknown: {', '.join(sorted(unknown))}."})
        for address in self.addresses:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError:
                raise ValidationError(
                    {"addresses": f"{address!r} is not an IP address or network."}
                ) from None
        if self.project and self.team and self.project.team_id not in (None, self.team_id):
            raise ValidationError({"project": "This project belongs to another team."})

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
