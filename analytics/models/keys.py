"""Tables: teams, projects, api_keys."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from analytics.money import money

SCOPES = ("complete", "feedback", "read")
"""Ask for completions; rate one's own answers; read everybody's statistics, not only one's own
tenant's."""

_LIST: dict[str, Any] = {"default": list, "blank": True}


def default_scopes() -> list[str]:
    return ["complete", "feedback"]


class Team(models.Model):
    """Whose keys share cached answers, and see no other team's."""

    name = models.CharField(max_length=64, unique=True)

    class Meta:
        db_table = "teams"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Project(models.Model):
    """What keys are for; its tags stand on every request made with them."""

    name = models.CharField(max_length=64, unique=True)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT)
    tags = models.JSONField(**_LIST)

    class Meta:
        db_table = "projects"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A client's key. Only its SHA-256 is kept: it is random, so nothing slower is needed.

    ``changed_at`` moves with every change that workers must hear of.
    """

    name = models.CharField(max_length=100, unique=True)
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    origin = models.CharField(
        max_length=16,
        default="",
        editable=False,
        help_text="The prefix of the first of its predecessors.",
    )
    user = models.CharField(
        max_length=128,
        blank=True,
        help_text="Who all its requests are by; empty: whoever the client says.",
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
        help_text="Of input and output.",
    )
    concurrent_requests = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Under way at the same time.",
    )
    quality_target = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="0 to 1; a request may ask for more, not for less.",
    )
    cost_cap = money(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="USD a request may cost at most; it may ask for less.",
    )
    auto_route = models.BooleanField(
        default=False, help_text="Learned routing for /complete where a request does not say."
    )
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
        if unknown := set(self.scopes) - set(SCOPES):
            raise ValidationError({"scopes": f"Unknown: {', '.join(sorted(unknown))}."})
        for address in self.addresses:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError:
                raise ValidationError(
                    {"addresses": f"{address!r} is no address or network."}
                ) from None
        if self.project and self.team and self.project.team_id not in (None, self.team_id):
            raise ValidationError({"project": "It belongs to another team."})

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
