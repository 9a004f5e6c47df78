"""Who may see what clients and models have written."""

from __future__ import annotations

from django.http import HttpRequest

MAY_VIEW_PROMPTS = "analytics.view_prompts"


def may_view_prompts(request: HttpRequest) -> bool:
    """Return whether the user may see prompts, answers, comments and error texts."""
    return bool(request.user.has_perm(MAY_VIEW_PROMPTS))  # type: ignore[union-attr]
