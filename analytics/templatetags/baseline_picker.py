"""The picker of the baseline that a page's savings are compared with."""

from __future__ import annotations

from typing import Any

from django import template

from analytics.reports.compared import PARAMETER, ComparedWith

register = template.Library()
_RESTARTED = (PARAMETER, "p", "e")
"""Parameters that another baseline replaces: itself, the page of a list, and its error."""


@register.inclusion_tag("admin/analytics/baseline_picker.html", takes_context=True)
def baseline_picker(context: dict[str, Any], compared: ComparedWith | None) -> dict[str, Any]:
    """Show the picker; the rest of the page's address stays. Without ``compared``, show nothing."""
    query = context["request"].GET
    kept = [
        (name, value)
        for name, values in query.lists()
        if name not in _RESTARTED
        for value in values
    ]
    return {"compared": compared, "kept": kept}
