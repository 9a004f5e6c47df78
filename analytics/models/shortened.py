"""Table: shortened_parts."""

from __future__ import annotations

from django.db import models


class ShortenedPart(models.Model):
    """How a part of a conversation was sent first, so that every later turn sends the same.

    ``conversation`` and ``part`` are digests, from which no text can be found. ``form`` names the
    short form of a part; no text is stored. The part "" is the conversation itself, and the parts
    that begin with "turn" are answers with calls that the client does not see. A row is deleted
    after ``until``.
    """

    id = models.BigAutoField(primary_key=True)
    conversation = models.CharField(max_length=32)
    part = models.CharField(max_length=32)
    form = models.TextField()
    until = models.DateTimeField()

    class Meta:
        db_table = "shortened_parts"
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "part"], name="shortened_parts_conversation_part"
            )
        ]
        indexes = [models.Index(fields=["until"], name="shortened_parts_until")]

    def __str__(self) -> str:
        return f"{self.conversation} {self.part}"
