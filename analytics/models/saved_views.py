"""Table: saved_views."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class SavedView(models.Model):
    """A question about spending that a user keeps, as the query string of its page.

    It has no figures: they are read anew whenever it is opened.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views"
    )
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "saved_views"
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="one_view_a_name"),
        ]

    def __str__(self) -> str:
        return self.name
