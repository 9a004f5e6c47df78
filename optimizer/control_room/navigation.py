"""The admin's navigation: six groups of pages and tables, named for the tasks of operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

_VIEW = "analytics.view_"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the admin's own; users who have all permissions of ``needs`` see it."""

    label: str
    url_name: str
    needs: tuple[str, ...] = (f"{_VIEW}requestrecord",)


@dataclass(frozen=True, slots=True)
class Group:
    """A heading of the navigation: its pages, then its tables by the names of their models."""

    name: str
    pages: tuple[Page, ...]
    tables: tuple[str, ...]


GROUPS = (
    Group(
        "Traffic",
        (Page("Explore", "admin:explore"), Page("Live", "admin:live")),
        (
            "RequestRecord", "AgentSession", "RoutingMetric", "CachedResponse", "DeferredRequest",
            "ProviderBatch", "DailyTotal", "RefusalTotal",
        ),
    ),
    Group(
        "Routing",
        (
            Page("Playground", "admin:playground",
                 (f"{_VIEW}routingmetric", f"{_VIEW}prompts")),
            Page("What if", "admin:whatif", (f"{_VIEW}routingmetric",)),
            Page("Levers", "admin:levers", (f"{_VIEW}lever",)),
            Page("Autopilot", "admin:autopilot", (f"{_VIEW}autopilottrial",)),
        ),
        ("RoutingRule", "RuleChange", "Experiment"),
    ),
    Group(
        "Quality",
        (
            Page("Shadow", "admin:shadow", (f"{_VIEW}comparison",)),
            Page("Quality settings", "admin:settings", (f"{_VIEW}runtimesetting",)),
        ),
        ("Comparison", "Feedback", "LearnedEvidence"),
    ),
    Group(
        "Costs",
        (
            Page("Models and prices", "admin:models", (f"{_VIEW}priceseen",)),
            Page("Providers", "admin:providers", (f"{_VIEW}providerkey",)),
            Page("Cost by tool", "admin:tools"),
            Page("Statements", "admin:statements"),
            Page("Invoices", "admin:invoices", (f"{_VIEW}providerstatementline",)),
        ),
        (
            "Budget", "BudgetHold", "PriceOverride", "PriceSeen", "ProviderStatementLine",
            "ReconciledEstimate", "LedgerDay",
        ),
    ),
    Group(
        "Alerts",
        (Page("Alerts and channels", "admin:alerts", (f"{_VIEW}alertrule",)),),
        (
            "AlertRule", "Alert", "NotificationChannel", "Digest", "DigestIssue", "Notification",
        ),
    ),
    Group(
        "Access",
        (Page("Getting started", "admin:start"),),
        (
            "ApiKey", "Developer", "KeyTemplate", "Team", "Project", "User", "Group", "LogEntry",
            "AccessAttempt", "AccessLog", "AccessFailureLog",
        ),
    ),
)  # fmt: skip
"""The groups in their order. A model that none of them names is shown in the last one."""


@dataclass(frozen=True, slots=True)
class NavLink:
    """A link of the navigation; ``add`` is where a row of the table, one ``noun``, is added."""

    label: str
    url: str
    current: bool
    add: str = ""
    noun: str = ""
    is_page: bool = False


@dataclass(frozen=True, slots=True)
class NavGroup:
    """A group as this user sees it."""

    name: str
    links: tuple[NavLink, ...]


def navigation(request: HttpRequest, apps: Sequence[Mapping[str, Any]]) -> list[NavGroup]:
    """Return the groups with the links that the user may open; empty groups are left out.

    ``apps`` are those of :func:`group_models`, which know what the user may see.
    """
    models = {app["name"]: app["models"] for app in apps}
    groups = []
    for group in GROUPS:
        pages = (_page_link(page, request) for page in group.pages if _may_open(page, request))
        tables = (_table_link(model, request) for model in models.get(group.name, ()))
        if links := (*pages, *tables):
            groups.append(NavGroup(group.name, links))
    return groups


def group_models(apps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Arrange the models of Django's app list under our headings, in our order.

    A heading is left out if the user may see none of its models.
    """
    models = {model["object_name"]: (app, model) for app in apps for model in app["models"]}
    arranged = []
    for group in GROUPS:
        members = [models.pop(name) for name in group.tables if name in models]
        if group is GROUPS[-1]:
            members += models.values()
        if members:
            arranged.append(_grouped(group.name, members))
    return arranged


def _grouped(name: str, members: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    app = members[0][0]
    listed = [model for _, model in members]
    return {**app, "name": name, "app_label": name.lower(), "models": listed}


def _may_open(page: Page, request: HttpRequest) -> bool:
    return request.user.has_perms(page.needs)  # type: ignore[union-attr]


def _page_link(page: Page, request: HttpRequest) -> NavLink:
    url = reverse(page.url_name)
    return NavLink(page.label, url, request.path == url, is_page=True)


def _table_link(model: Mapping[str, Any], request: HttpRequest) -> NavLink:
    url = model["admin_url"] or ""
    noun = str(model["model"]._meta.verbose_name)
    current = bool(url) and request.path.startswith(url)
    return NavLink(str(model["name"]), url, current, model["add_url"] or "", noun)
