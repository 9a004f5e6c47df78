"""Groups of the admin's tables, named for the tasks of operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_GROUPS: dict[str, tuple[str, ...]] = {
    "Traffic": (
        "RequestRecord",
        "AgentSession",
        "RoutingMetric",
        "CachedResponse",
        "DeferredRequest",
        "ProviderBatch",
        "DailyTotal",
        "RefusalTotal",
    ),
    "Routing": ("RoutingRule", "RuleChange", "Experiment"),
    "Quality": ("Feedback", "Comparison", "LearnedEvidence"),
    "Money": ("Budget", "BudgetHold", "PriceOverride", "PriceSeen"),
    "Invoices": ("ProviderStatementLine", "ReconciledEstimate", "LedgerDay"),
    "Alerts": (
        "AlertRule",
        "Alert",
        "NotificationChannel",
        "Digest",
        "DigestIssue",
        "Notification",
    ),
    "Access": (
        "ApiKey",
        "Developer",
        "KeyTemplate",
        "Team",
        "Project",
        "User",
        "Group",
        "LogEntry",
    ),
}
_OTHER_MODELS = "Logins"


def group_models(apps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Arrange the models of Django's app list under our headings, in our order.

    Models without a heading, such as those that guard logins, come last. A heading is left out
    if the user may see none of its models.
    """
    models = {model["object_name"]: (app, model) for app in apps for model in app["models"]}
    groups = []
    for name, object_names in _GROUPS.items():
        members = [models.pop(object_name) for object_name in object_names if object_name in models]
        if members:
            groups.append(_group(name, members))
    return [*groups, *([_group(_OTHER_MODELS, list(models.values()))] if models else [])]


def _group(name: str, members: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    app = members[0][0]
    return {
        **app,
        "name": name,
        "app_label": name.lower(),
        "models": [model for _, model in members],
    }
