"""Views of spending that users keep under a name."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS

from analytics.models import SavedView

MOST_VIEWS = 50
"""The most views of one user."""
_NAME_CHARS = 60


class ViewError(ValueError):
    """A view that cannot be saved; the message says why."""


def views_of(user: Any) -> list[SavedView]:
    """Return the user's views by name."""
    # A replica may not know the view that the user saved a moment ago.
    own = SavedView.objects.using(DEFAULT_DB_ALIAS).filter(user=user)
    return list(own[:MOST_VIEWS])


def view_save(user: Any, *, name: str, query: str) -> SavedView:
    """Keep ``query`` under ``name``; a view of that name gets the new query.

    Raises :class:`ViewError` for an empty name, and beyond :data:`MOST_VIEWS`.
    """
    name = " ".join(name.split())[:_NAME_CHARS]
    if not name:
        raise ViewError("Give the view a name.")
    own = SavedView.objects.filter(user=user)
    if own.exclude(name=name).count() >= MOST_VIEWS:
        raise ViewError(f"You have {MOST_VIEWS} views: remove one first.")
    view, _ = SavedView.objects.update_or_create(user=user, name=name, defaults={"query": query})
    return view


def view_delete(user: Any, pk: str) -> None:
    """Remove the user's view; one that is not the user's stays."""
    if pk.isdigit():
        SavedView.objects.filter(user=user, pk=int(pk[:18])).delete()
