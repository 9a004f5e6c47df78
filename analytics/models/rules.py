"""Tables: routing_rules, rule_changes."""

from __future__ import annotations

from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from analytics.models.columns import residency_field
from routing.rules import ACTIONS

_LIST: Any = {"default": list, "blank": True}


class RoutingRule(models.Model):
    """A routing rule, with the fields of :mod:`routing.rules`. Lists hold strings."""

    name = models.CharField(max_length=100, unique=True)
    position = models.IntegerField(default=100, help_text="Rules with a lower position come first.")
    enabled = models.BooleanField(
        default=False, help_text="Try it on past requests before you switch it on."
    )
    note = models.CharField(max_length=500, blank=True, help_text="Reason for this rule.")
    patterns = models.JSONField(**_LIST)
    tiers = models.JSONField(**_LIST)
    tags = models.JSONField(**_LIST)
    users = models.JSONField(**_LIST)
    texts = models.JSONField(**_LIST)
    turns = models.JSONField(**_LIST, db_default=models.Value([], models.JSONField()))
    agents = models.JSONField(**_LIST, db_default=models.Value([], models.JSONField()))
    requested_models = models.JSONField(**_LIST, db_default=models.Value([], models.JSONField()))
    only_text = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Only requests without tools, images and documents.",
    )
    min_tokens = models.PositiveIntegerField(null=True, blank=True)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    weekdays = models.JSONField(**_LIST)
    since = models.TimeField(null=True, blank=True)
    until = models.TimeField(null=True, blank=True)
    zone = models.CharField("time zone", max_length=64, default="UTC")
    action = models.CharField(
        max_length=10, blank=True, choices=[(action, action) for action in ACTIONS]
    )
    model_names = models.JSONField("models", **_LIST)
    quality_target = models.FloatField(null=True, blank=True, help_text="0 to 1.")
    cost_cap = models.DecimalField(
        max_digits=20, decimal_places=10, null=True, blank=True, help_text="USD per request."
    )
    latency_cap = models.FloatField(
        null=True, blank=True, help_text="Seconds until the answer is complete."
    )
    deadline = models.FloatField(
        null=True,
        blank=True,
        help_text="Seconds within which answers are wanted, where the request does not say.",
    )
    answer_note = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="What the model is told of the answer's length or form, if the lever "
        "“short_answers” is in use: Answer in at most three sentences.",
    )
    note_everywhere = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Also for requests with tools or with a form of output, such as JSON.",
    )

    residency = residency_field()

    class Meta:
        db_table = "routing_rules"
        ordering = ("position", "name")

    def __str__(self) -> str:
        return self.name


class RuleChange(models.Model):
    """One change of a rule: who made it, when, and the rule before and after. Never changes."""

    rule = models.CharField(max_length=100)
    who = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now)
    before = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, encoder=DjangoJSONEncoder)

    class Meta:
        db_table = "rule_changes"
        indexes = [models.Index(fields=["-at"], name="rule_changes_at")]
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"{self.rule} by {self.who}"
