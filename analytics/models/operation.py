"""Tables: provider_keys, model_switches, model_entries, runtime_settings."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from analytics.encryption import SecretTextField
from analytics.models.columns import ModelRefMixin


class ProviderKey(models.Model):
    """An API key of a provider that an operator has set here, not in the environment.

    ``secret`` is always encrypted. ``last_four`` are its last characters, by which people
    recognise it; nothing else of it is shown. Keys of one provider are used in the order in which
    they were added.
    """

    provider = models.CharField(max_length=64)
    secret = SecretTextField()
    last_four = models.CharField(max_length=4)
    note = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "provider_keys"
        ordering = ("provider", "pk")

    def __str__(self) -> str:
        return f"{self.provider} …{self.last_four}"


class ModelSwitch(ModelRefMixin, models.Model):
    """Whether operators have switched a model off. A model without a row is on."""

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    off = models.BooleanField(default=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "model_switches"
        verbose_name_plural = "model switches"
        ordering = ("provider", "model")
        constraints = [
            models.UniqueConstraint(fields=["provider", "model"], name="one_switch_a_model")
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class ModelEntry(ModelRefMixin, models.Model):
    """What operators have set of a model: of one of the catalogue, or of one that they add.

    Empty columns leave what the catalogue has. ``context_window`` and ``max_output`` are tokens,
    ``capabilities`` and ``lacks`` names of features, ``able_as`` a model whose published results
    this one has. ``kind`` ("chat" or "embedding") counts for models that they add.
    """

    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, blank=True)
    tier = models.CharField(max_length=16, blank=True)
    context_window = models.PositiveIntegerField(null=True, blank=True)
    max_output = models.PositiveIntegerField(null=True, blank=True)
    capabilities = models.JSONField(null=True, blank=True)
    lacks = models.JSONField(null=True, blank=True)
    aliases = models.JSONField(null=True, blank=True)
    able_as = models.CharField(max_length=128, blank=True)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "model_entries"
        verbose_name_plural = "model entries"
        ordering = ("pk",)
        constraints = [
            models.UniqueConstraint(fields=["provider", "model"], name="one_entry_a_model")
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class RuntimeSetting(models.Model):
    """A setting that an operator has changed while the service runs; the environment wins.

    ``name`` is that of the environment variable, ``value`` is written as it would be there.
    """

    name = models.CharField(max_length=64, primary_key=True)
    value = models.CharField(max_length=300, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "runtime_settings"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
