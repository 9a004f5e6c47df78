"""Tables: ledger_seals, ledger_days."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class LedgerSeal(models.Model):
    """The hashes of rows that one worker committed together, for one UTC day.

    ``leaves`` has 48 bytes a row: the 16 of its id and the 32 of its hash, zeros for a row that
    is removed. Seals of a worker are linked: each has the hash of the one ``previous``. A row
    that changes gets another seal, and its latest one counts. ``nonce`` keeps what the hash
    covers beside the figures, such as the prompt, from being guessed by who has the hash.
    """

    class Kind(models.TextChoices):
        """Why rows are sealed."""

        WRITTEN = "written", "written"
        CHANGED = "changed", "usage added when a background response ended"
        REMOVED = "removed", "replayed requests removed"
        ADOPTED = "adopted", "written before there were seals"

    chain = models.CharField(max_length=32)
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.WRITTEN)
    day = models.DateField()
    made_at = models.DateTimeField(default=timezone.now)
    rows = models.PositiveIntegerField()
    nonce = models.BinaryField(max_length=16)
    leaves = models.BinaryField()
    previous = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        db_table = "ledger_seals"
        ordering = ("id",)
        indexes = [models.Index(fields=["day", "id"], name="ledger_seals_day")]

    def __str__(self) -> str:
        return f"{self.rows} rows of {self.day}"


class LedgerDay(models.Model):
    """The root of a day's rows, signed by the installation and linked to the root before it.

    A day whose rows changed after it was closed gets another revision. Roots are kept when
    their rows are pruned. Hashes, key and signature are hexadecimal.
    """

    day = models.DateField()
    revision = models.PositiveIntegerField(default=1)
    rows = models.PositiveIntegerField()
    last_seal = models.BigIntegerField(help_text="The latest seal that the root covers.")
    root = models.CharField(max_length=64)
    previous = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)
    key = models.CharField(max_length=64, help_text="The public key of the installation.")
    signature = models.CharField(max_length=128)
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "ledger_days"
        ordering = ("id",)
        verbose_name = "day root"
        constraints = [
            models.UniqueConstraint(fields=["day", "revision"], name="one_root_a_revision"),
            models.UniqueConstraint(fields=["previous"], name="one_root_after_another"),
        ]

    def __str__(self) -> str:
        return f"{self.day}, revision {self.revision}"
