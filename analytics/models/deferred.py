"""Tables: deferred_requests, provider_batches, client_batches, stored_files, lane_leases."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.utils import timezone

from analytics.encryption import EncryptedTextField

_MONEY: Any = {"max_digits": 20, "decimal_places": 10, "null": True}


class ProviderBatch(models.Model):
    """A batch of this service at a provider. Its id, in hexadecimal, names it there.

    ``intent_at`` is when it was about to be created: from then on, until ``object_id`` is known,
    the provider may have it. ``calls_failed`` counts failed attempts to create or read it.
    """

    class State(models.TextChoices):
        """How far a batch is."""

        PLANNED = "planned", "planned"
        SUBMITTING = "submitting", "submitting"
        RUNNING = "running", "running"
        SETTLED = "settled", "settled"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    headers = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PLANNED)
    file_id = models.CharField(max_length=200, blank=True)
    object_id = models.CharField(max_length=200, blank=True)
    requests_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    intent_at = models.DateTimeField(null=True, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(default=timezone.now)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    calls_failed = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "provider_batches"
        verbose_name = "provider batch"
        verbose_name_plural = "provider batches"
        ordering = ("-created_at",)
        indexes = [
            models.Index(
                fields=["state"],
                condition=~models.Q(state__in=("settled", "failed")),
                name="provider_batches_open",
            ),
            models.Index(fields=["-created_at"], name="provider_batches_created"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model} {self.id.hex}"


class ClientBatch(models.Model):
    """A batch of a client that this service answers itself, over whatever providers.

    ``total`` is the number of its requests, ``errors`` are why the batch failed as a whole.
    """

    class Format(models.TextChoices):
        """Whose API the client speaks."""

        OPENAI = "openai", "OpenAI"
        ANTHROPIC = "anthropic", "Anthropic"

    id = models.CharField(max_length=60, primary_key=True)
    format = models.CharField(max_length=10, choices=Format.choices)
    tenant = models.CharField(max_length=80, blank=True)
    api_key = models.CharField(max_length=16, blank=True)
    path = models.CharField(max_length=60)
    headers = models.JSONField(default=dict, blank=True)
    input_file_id = models.CharField(max_length=60, blank=True)
    metadata = models.JSONField(default=dict, blank=True, null=True)
    total = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    deadline_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "client_batches"
        verbose_name = "client's batch"
        verbose_name_plural = "clients' batches"
        ordering = ("-created_at",)
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(ended_at=None),
                name="client_batches_open",
            ),
            models.Index(fields=["tenant", "-created_at"], name="client_batches_tenant"),
        ]

    def __str__(self) -> str:
        return self.id


class DeferredRequest(models.Model):
    """A request that is answered later, by a batch or by a call of its own.

    ``request`` is the request in JSON, ``decision`` the model that was chosen for it. ``batch``
    is the batch that it is in. ``call_id`` is the ledger's id of its latest call of its own, made
    by the worker ``claimed_by`` and not expected beyond ``not_before``. ``direct`` is whether
    batches are no longer an option. ``answer`` is the answer in JSON; ``line`` and ``custom_id``
    are its place in a client's batch.
    """

    class State(models.TextChoices):
        """How far a request is."""

        ADMITTING = "admitting", "being admitted"
        WAITING = "waiting", "waiting"
        IN_BATCH = "in_batch", "in a batch"
        CALLING = "calling", "being answered"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        EXPIRED = "expired", "expired"

    OPEN = (State.ADMITTING, State.WAITING, State.IN_BATCH, State.CALLING)

    id = models.UUIDField(primary_key=True)
    created_at = models.DateTimeField(default=timezone.now)
    deadline_at = models.DateTimeField()
    not_before = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    tenant = models.CharField(max_length=80, blank=True)
    api_key = models.CharField(max_length=16, blank=True)
    user_id = models.CharField(max_length=128, blank=True)
    project = models.CharField(max_length=64, blank=True)
    path = models.CharField(max_length=300)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    group = models.CharField(max_length=64, blank=True)
    batch = models.ForeignKey(
        ProviderBatch, null=True, blank=True, on_delete=models.SET_NULL, related_name="requests"
    )
    client_batch = models.ForeignKey(
        ClientBatch, null=True, blank=True, on_delete=models.CASCADE, related_name="requests"
    )
    custom_id = models.CharField(max_length=200, blank=True)
    line = models.PositiveIntegerField(default=0)
    direct = models.BooleanField(default=False)
    calls = models.PositiveIntegerField(default=0)
    call_id = models.UUIDField(null=True, blank=True)
    claimed_by = models.CharField(max_length=32, blank=True)
    request = EncryptedTextField()
    decision = models.JSONField(default=dict)
    answer = EncryptedTextField(blank=True)
    cost = models.DecimalField(blank=True, **_MONEY)
    savings = models.DecimalField(blank=True, **_MONEY)
    list_cost = models.DecimalField(
        blank=True, help_text="USD of the same answer by a call of its own.", **_MONEY
    )
    status_code = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    webhook = models.CharField(max_length=2000, blank=True)
    webhook_due_at = models.DateTimeField(null=True, blank=True)
    webhook_attempts = models.PositiveSmallIntegerField(default=0)
    webhook_error = models.CharField(max_length=200, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "deferred_requests"
        verbose_name = "deferred request"
        ordering = ("-created_at",)
        indexes = [
            models.Index(
                fields=["state", "deadline_at"],
                condition=models.Q(state__in=("admitting", "waiting", "in_batch", "calling")),
                name="deferred_open",
            ),
            models.Index(
                fields=["webhook_due_at"],
                condition=models.Q(webhook_due_at__isnull=False),
                name="deferred_webhooks",
            ),
            models.Index(fields=["tenant", "-created_at"], name="deferred_tenant"),
            models.Index(fields=["-created_at"], name="deferred_created"),
            models.Index(fields=["client_batch", "line"], name="deferred_of_batch"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class StoredFile(models.Model):
    """A file of a client's batches that this service keeps itself."""

    id = models.CharField(max_length=60, primary_key=True)
    tenant = models.CharField(max_length=80, blank=True)
    api_key = models.CharField(max_length=16, blank=True)
    purpose = models.CharField(max_length=20)
    name = models.CharField(max_length=200)
    size = models.PositiveIntegerField()
    content = EncryptedTextField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "stored_files"
        verbose_name = "stored file"
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="stored_files_tenant"),
            models.Index(fields=["expires_at"], name="stored_files_expire"),
        ]

    def __str__(self) -> str:
        return self.id


class LaneLease(models.Model):
    """Which worker works on a lane, and until when nobody else does."""

    name = models.CharField(max_length=20, primary_key=True)
    holder = models.CharField(max_length=32, blank=True)
    until = models.DateTimeField()

    class Meta:
        db_table = "lane_leases"
        verbose_name = "lease of a lane"

    def __str__(self) -> str:
        return self.name
