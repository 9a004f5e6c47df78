"""Hides the words of clients and models from users who may see figures only.

Without the permission to view prompts, a user sees no prompt, answer, comment or error text: not
in lists, pages and exports, and no search and no filter looks into them, because the number of
rows that it finds would show what they say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest

from analytics.access.prompt_rights import may_view_prompts
from analytics.reports.request_explanation import RequestExplanation

HIDDEN = "(not shown to your role)"
# Hashes and keys are hidden too, as a guessed prompt can be compared with them.
PRIVATE_FIELDS = frozenset({
    "prompt", "prompt_hash", "response", "answer", "error_detail", "error", "attempts", "comment",
    "metadata", "cache_key", "semantic_key", "invalidation_reason",
})  # fmt: skip
_PRIVATE_COLUMNS = PRIVATE_FIELDS | {"prompt_start", "cache_link"}


def visible(request: HttpRequest, columns: Iterable[Any]) -> list[Any]:
    """Return ``columns`` without those that the user may not see."""
    if may_view_prompts(request):
        return list(columns)
    # A function that shows a column has its name.
    names = ((column, getattr(column, "__name__", column)) for column in columns)
    return [column for column, name in names if name not in _PRIVATE_COLUMNS]


def without_texts(story: RequestExplanation) -> RequestExplanation:
    """Return the explanation without the words of clients, models and providers."""
    story.request.prompt, story.request.error_detail = HIDDEN, ""
    story.request.attempts = [{**attempt, "message": ""} for attempt in story.request.attempts]
    verdicts = [(score, source, "") for score, source, _comment in story.verdicts]
    return replace(story, parts=[], verdicts=verdicts, answer=None)


class PromptAccessMixin(ModelAdmin):
    """An admin of rows that contain prompts, answers or comments."""

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns that the user may see."""
        return visible(request, super().get_list_display(request))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields that the user may see."""
        return [
            (name, {**options, "fields": visible(request, options["fields"])})
            for name, options in super().get_fieldsets(request, obj)
        ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Return whether the address of the list may filter by ``lookup``."""
        if not may_view_prompts(request) and not PRIVATE_FIELDS.isdisjoint(lookup.split("__")):
            return False
        return super().lookup_allowed(lookup, value, request)
