"""Tables: provider_objects, stored_responses."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from analytics.encryption import EncryptedTextField


class ProviderObject(models.Model):
    """An object that a provider keeps for a client, such as a batch, and whose it is.

    ``parent`` is the batch that a file holds the results of. ``request_id`` is the row of the
    ledger whose usage is known only once the object has ended. ``recorded`` is whether
    everything that the object costs is in the ledger.
    """

    class Kind(models.TextChoices):
        """What the provider keeps."""

        BATCH = "batch", "batch"
        FILE = "file", "file"
        RESPONSE = "response", "response"
        CONVERSATION = "conversation", "conversation"

    provider = models.CharField(max_length=64)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    object_id = models.CharField(max_length=200)
    parent = models.CharField(max_length=200, blank=True)
    tenant = models.CharField(max_length=80, blank=True)
    api_key = models.CharField(max_length=16, blank=True)
    user_id = models.CharField(max_length=128, blank=True)
    project = models.CharField(max_length=64, blank=True)
    tags = models.JSONField(default=list, blank=True)
    model = models.CharField(max_length=128, blank=True)
    state = models.CharField(max_length=40, blank=True)
    request_id = models.UUIDField(null=True, blank=True)
    recorded = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    checked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "provider_objects"
        verbose_name = "provider object"
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "kind", "object_id"], name="one_row_an_object"
            )
        ]
        indexes = [
            models.Index(fields=["kind", "object_id"], name="objects_by_id"),
            models.Index(
                fields=["checked_at"], condition=models.Q(recorded=False), name="objects_open"
            ),
            models.Index(fields=["created_at"], name="objects_created"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.kind} {self.object_id}"


class StoredResponse(models.Model):
    """A response that this service gave with another provider's model, and its input.

    Clients refer to it by its id and by the ids of its items. ``root`` is the first response of
    the conversation. ``input`` and ``response`` are JSON: the items as they came, and the
    response as it was given.
    """

    id = models.CharField(max_length=60, primary_key=True)
    tenant = models.CharField(max_length=80, blank=True)
    root = models.CharField(max_length=60)
    previous_id = models.CharField(max_length=60, blank=True)
    input = EncryptedTextField()
    response = EncryptedTextField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "stored_responses"
        verbose_name = "stored response"
        indexes = [
            models.Index(fields=["root"], name="responses_root"),
            models.Index(fields=["created_at"], name="responses_created"),
            models.Index(fields=["expires_at"], name="responses_expire"),
        ]

    def __str__(self) -> str:
        return self.id
