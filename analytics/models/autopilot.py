"""Tables of the autopilot: its switch, the models it knows, trials, pairs and steps."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from analytics.models.columns import ModelRefMixin
from analytics.models.comparisons import Comparison
from analytics.money import money
from routing.models import TIERS


class AutopilotSwitch(models.Model):
    """Whether the autopilot is on, where an operator has said so; the only row has the id 1."""

    on = models.BooleanField(default=False)
    who = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "autopilot_switch"

    def __str__(self) -> str:
        return "on" if self.on else "off"


class AutopilotModel(ModelRefMixin, models.Model):
    """A model that the autopilot has noticed, at the price that it had then (USD per million)."""

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    input = money()
    output = money()
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "autopilot_models"
        constraints = [
            models.UniqueConstraint(fields=["provider", "model"], name="one_noticed_model")
        ]

    def __str__(self) -> str:
        return str(self.ref)


class AutopilotTrial(ModelRefMixin, models.Model):
    """A model on trial for the requests of one tier, and what came of it.

    ``held`` says that the model is new, so that routing leaves it alone until it has moved.
    """

    class State(models.TextChoices):
        """The stage of a trial."""

        NOTICED = "noticed", "noticed, waits for its turn"
        SHADOW = "shadow", "answers in the background"
        LIVE = "live", "answers a small share of clients"
        MOVED = "moved", "traffic was moved to it"
        REJECTED = "rejected", "rejected"
        REVERTED = "reverted", "taken back"
        REPLACED = "replaced", "replaced by a later move"

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    tier = models.CharField(max_length=10, choices=[(tier, tier) for tier in TIERS])
    state = models.CharField(max_length=10, choices=State.choices, default=State.NOTICED)
    held = models.BooleanField(default=False)
    replaced_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="replaces"
    )
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    moved_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "autopilot_trials"
        ordering = ("-created_at", "-pk")
        constraints = [
            # Two workers that notice the same model write one trial.
            models.UniqueConstraint(
                fields=["provider", "model", "tier"],
                condition=models.Q(state__in=("noticed", "shadow", "live", "moved", "replaced")),
                name="one_open_trial",
            ),
            models.UniqueConstraint(
                fields=["tier"],
                condition=models.Q(state__in=("shadow", "live")),
                name="one_trial_a_tier",
            ),
        ]

    @property
    def name(self) -> str:
        """Return the name under which requests record its arm."""
        return f"autopilot-{self.pk}"

    def __str__(self) -> str:
        return f"{self.ref}, {self.tier}"


class AutopilotUse(models.Model):
    """How many clients' requests of a UTC day a model on trial may answer, and took so far.

    Workers take them in small lots before they answer, so that no worker can exceed the number.
    """

    trial = models.ForeignKey(AutopilotTrial, on_delete=models.CASCADE, related_name="uses")
    day = models.DateField()
    allowed = models.PositiveIntegerField(default=0)
    taken = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "autopilot_uses"
        constraints = [models.UniqueConstraint(fields=["trial", "day"], name="one_use_a_day")]

    def __str__(self) -> str:
        return f"{self.trial_id}, {self.day}: {self.taken} of {self.allowed}"


class AutopilotPair(models.Model):
    """One request that the model on trial and the one in its place both answered.

    ``score`` is that of the model on trial, 0-1; ``saved`` is what it saves on this request in
    USD. ``unit`` is a digest of the session: each counts once, so that pairs are exchangeable.
    """

    comparison = models.OneToOneField(
        Comparison, on_delete=models.CASCADE, primary_key=True, related_name="autopilot"
    )
    trial = models.ForeignKey(AutopilotTrial, on_delete=models.CASCADE, related_name="pairs")
    unit = models.CharField(max_length=32)
    score = models.FloatField()
    saved = models.FloatField(null=True)
    live = models.BooleanField(default=False, help_text="The client got the answer of the trial.")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "autopilot_pairs"
        constraints = [models.UniqueConstraint(fields=["trial", "unit"], name="one_pair_a_session")]

    def __str__(self) -> str:
        return f"{self.trial_id}: {self.score:g}"


class AutopilotStep(models.Model):
    """One step of the autopilot, with the evidence it went by. Never changes."""

    at = models.DateTimeField(default=timezone.now)
    trial = models.ForeignKey(
        AutopilotTrial, null=True, on_delete=models.SET_NULL, related_name="steps"
    )
    subject = models.CharField(max_length=220, help_text="The model and its tier.")
    before = models.CharField(max_length=10, blank=True)
    after = models.CharField(max_length=10)
    reason = models.CharField(max_length=300)
    who = models.CharField(max_length=150, blank=True, help_text="Empty: the autopilot itself.")
    evidence = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        db_table = "autopilot_steps"
        ordering = ("-at", "-pk")
        indexes = [models.Index(fields=["-at"], name="autopilot_steps_at")]

    def __str__(self) -> str:
        return f"{self.subject}: {self.after}"
