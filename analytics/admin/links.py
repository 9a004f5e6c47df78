"""Links from one admin page to another."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


def link_to(name: str, pk: Any, label: str) -> SafeString:
    """Return a link to the admin page of the row ``pk`` of the model ``name``."""
    return format_html(
        '<a href="{}">{}</a>', reverse(f"admin:analytics_{name}_change", args=[pk]), label
    )


def cache_link_to(cache_key: str) -> SafeString | str:
    """Return a link to the cache entry with this key, or a dash for an empty key."""
    if not cache_key:
        return "–"
    url = reverse("admin:analytics_cachedresponse_changelist")
    return format_html('<a href="{}?q={}">{}</a>', url, cache_key, cache_key[:10])
