"""The admin's tables, grouped by what operators come for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_GROUPS: dict[str, tuple[str, ...]] = {
    "Traffic": ("RequestRecord", "RoutingMetric", "CachedResponse", "DailyTotal"),
    "Routing": ("RoutingRule", "RuleChange", "Experiment"),
    "Quality": ("Feedback", "Comparison", "LearnedEvidence"),
    "Money": ("Budget", "BudgetHold", "PriceOverride", "PriceSeen"),
    "Alerts": ("AlertRule", "Alert"),
    "Access": ("ApiKey", "Team", "Project", "User", "Group", "LogEntry"),
}
_REST = "Logins"


def grouped(apps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The models of Django's list of apps under our headings, in our order; those of no heading,
    such as what guards logins, come last. A heading whose models nobody may see is not there.
    """
    models = {model["object_name"]: (app, model) for app in apps for model in app["models"]}
    found = []
    for name, members in _GROUPS.items():
        there = [models.pop(member) for member in members if member in models]
        if there:
            found.append(_group(name, there))
    return [*found, *([_group(_REST, list(models.values()))] if models else [])]


def _group(name: str, members: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    app = members[0][0]
    return {
        **app,
        "name": name,
        "app_label": name.lower(),
        "models": [model for _, model in members],
    }
