"""Tables: key_templates, developers, invitations."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from analytics.models.budgets import Budget
from analytics.models.columns import residency_field
from analytics.models.keys import Project, Team
from analytics.money import dollars, money

_POSITIVE: dict[str, Any] = {"null": True, "blank": True, "validators": [MinValueValidator(1)]}


class KeyTemplate(models.Model):
    """What developers may do with keys that they make for themselves.

    ``budget`` (USD) is for all keys of one developer together, so that a new key brings no new
    money. ``until`` is when the template ends: nobody makes or replaces a key by it afterwards.
    """

    class Period(models.TextChoices):
        """The period after which a developer's budget resets."""

        DAY = "day", "day"
        WEEK = "week", "week, from Monday"
        MONTH = "month", "month"

    name = models.CharField(max_length=60, unique=True)
    enabled = models.BooleanField(default=True, help_text="If off, nobody makes keys by it.")
    until = models.DateTimeField(
        "ends at", null=True, blank=True, help_text="UTC. No key is made by it afterwards."
    )
    for_single_sign_on = models.BooleanField(
        "for single sign-on",
        default=False,
        help_text="Developers who first come by single sign-on get this template. One at most.",
    )
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT)
    project = models.ForeignKey(Project, null=True, blank=True, on_delete=models.PROTECT)
    budget = money(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="USD in each period, for all requests of one developer. Empty: no budget.",
    )
    period = models.CharField(max_length=10, choices=Period.choices, default=Period.DAY)
    at_limit = models.CharField(
        max_length=10, choices=Budget.AtLimit.choices, default=Budget.AtLimit.REFUSE
    )
    model_names = models.JSONField("models", default=list, blank=True)
    most_keys = models.PositiveSmallIntegerField(
        "keys at most",
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="Valid keys of one developer.",
    )
    days = models.PositiveSmallIntegerField(
        "days valid", **_POSITIVE, help_text="Days until a key expires, at most. Empty: never."
    )
    requests_per_minute = models.PositiveIntegerField(**_POSITIVE, help_text="Of each key.")
    tokens_per_minute = models.PositiveIntegerField(
        **_POSITIVE, help_text="Of each key: input and output tokens together."
    )

    residency = residency_field()

    class Meta:
        db_table = "key_templates"
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(
                fields=["for_single_sign_on"],
                condition=models.Q(for_single_sign_on=True),
                name="one_template_for_sso",
                violation_error_message="Another template is for single sign-on already.",
            )
        ]

    def clean(self) -> None:
        """Raise ``ValidationError`` for another team's project."""
        if self.project and self.team and self.project.team_id not in (None, self.team_id):
            raise ValidationError({"project": "This project belongs to another team."})

    @property
    def usable(self) -> bool:
        """Return whether keys are made by it now."""
        return self.enabled and (self.until is None or self.until > timezone.now())

    @property
    def budget_text(self) -> str:
        """Return the budget for people, such as ``$5.00 a day``; empty without one."""
        return "" if self.budget is None else f"{dollars(self.budget)} a {self.period}"

    def __str__(self) -> str:
        return self.name


class Developer(models.Model):
    """A person who sees their own spending at /me and may make keys by a template.

    ``name`` is the user of all requests with their keys. ``account`` is how they sign in, once
    they have accepted an invitation or come by single sign-on. ``left_at`` is set while single
    sign-on refuses them, ``disabled_at`` by an operator; both close /me to them.
    """

    name = models.CharField(
        max_length=64,
        unique=True,
        help_text="User of all requests with their keys. Cannot change later.",
    )
    account = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="developer",
    )
    template = models.ForeignKey(
        KeyTemplate,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="developers",
        help_text="What they may make keys by. Empty: they make none.",
    )
    budget = models.OneToOneField(
        Budget, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    left_at = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "developers"
        ordering = ("name",)

    def clean(self) -> None:
        """Raise ``ValidationError`` for a name that an account of single sign-on may have."""
        if not self.name.isprintable():
            raise ValidationError({"name": "Use printable characters only."})
        if self.name.startswith("sso:") and self.account is None:
            raise ValidationError({"name": "Names that begin with sso: are for single sign-on."})

    @property
    def active(self) -> bool:
        """Return whether /me is open to them."""
        return self.left_at is None and self.disabled_at is None

    def __str__(self) -> str:
        return self.name


class Invitation(models.Model):
    """A link by which a developer chooses a password, once. Only its SHA-256 is stored."""

    developer = models.ForeignKey(Developer, on_delete=models.CASCADE, related_name="invitations")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "invitations"

    def __str__(self) -> str:
        return f"{self.developer}, until {self.expires_at:%Y-%m-%d %H:%M}"
