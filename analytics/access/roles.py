"""The roles of the admin: finance, viewer, analyst, operator; an administrator may do everything.

Roles are Django groups with these names, so an administrator assigns them like any other
group. No role can change recorded requests. Finance sees figures, but no prompts and answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

from analytics.models import (
    AgentSession,
    Alert,
    AlertRule,
    ApiKey,
    AutopilotSwitch,
    Budget,
    BudgetHold,
    CachedResponse,
    DailyTotal,
    DeferredRequest,
    Developer,
    Digest,
    DigestIssue,
    Experiment,
    KeyTemplate,
    Lever,
    ModelEntry,
    ModelSwitch,
    NotificationChannel,
    PriceOverride,
    PriceSeen,
    Project,
    ProviderBatch,
    ProviderKey,
    ProviderStatementLine,
    ReconciledEstimate,
    RefusalTotal,
    RequestRecord,
    RoutingMetric,
    RoutingRule,
    RuntimeSetting,
    Team,
)

VIEWER, ANALYST, OPERATOR, ADMINISTRATOR = "viewer", "analyst", "operator", "administrator"
FINANCE = "finance"
ROLES = (ADMINISTRATOR, OPERATOR, ANALYST, VIEWER, FINANCE)
"""The role with most rights comes first."""

_FINANCE_TABLES = (
    AgentSession, Alert, Budget, BudgetHold, DailyTotal, Digest, DigestIssue, Experiment, Lever,
    PriceOverride,
    PriceSeen, Project, ProviderStatementLine, ReconciledEstimate, RefusalTotal, RequestRecord,
    RoutingMetric, Team,
)  # fmt: skip
_ANALYST_ACTIONS = {
    Experiment: ("add", "change", "delete"),
    RequestRecord: ("ask",),
}
_OPERATOR_ACTIONS = {
    AgentSession: ("change",),
    AutopilotSwitch: ("change",),
    Lever: ("change",),
    ModelEntry: ("add", "change", "delete"),
    ModelSwitch: ("change",),
    ProviderKey: ("add", "delete"),
    RuntimeSetting: ("change",),
    RoutingRule: ("add", "change", "delete"),
    Budget: ("add", "change"),
    BudgetHold: ("change",),
    ApiKey: ("add", "change"),
    Developer: ("add", "change"),
    KeyTemplate: ("add", "change"),
    Team: ("add", "change"),
    Project: ("add", "change"),
    AlertRule: ("add", "change", "delete"),
    Digest: ("add", "change", "delete"),
    NotificationChannel: ("add", "change", "delete"),
    PriceOverride: ("add", "change", "delete"),
    CachedResponse: ("delete",),
    DeferredRequest: ("change",),
    ProviderBatch: ("change",),
}


_RIGHTS_OF_SCOPES = {
    "manage:read": (
        "view_apikey",
        "view_budget",
        "view_lever",
        "view_providerkey",
        "view_keytemplate",
        "view_alertrule",
        "view_notificationchannel",
    ),
    "manage:providers": ("add_providerkey", "delete_providerkey"),
    "manage:models": (
        "change_modelswitch",
        "add_modelentry",
        "change_modelentry",
        "delete_modelentry",
        "add_priceoverride",
        "change_priceoverride",
    ),
    "manage:policies": ("change_lever", "change_routingrule", "change_runtimesetting"),
    "manage:budgets": ("add_budget", "change_budget"),
    "manage:keys": ("add_apikey", "change_apikey", "add_keytemplate", "change_keytemplate"),
    "manage:alerts": (
        "add_alertrule",
        "change_alertrule",
        "delete_alertrule",
        "add_notificationchannel",
        "change_notificationchannel",
        "delete_notificationchannel",
        "add_digest",
        "change_digest",
        "delete_digest",
    ),
}


class ScopesBeyondRights(ValueError):
    """A user gives a key more than their own rights; the message names the scopes."""


def scopes_check(user: Any, scopes: Iterable[str]) -> None:
    """Raise :class:`ScopesBeyondRights` for scopes whose rights in the admin ``user`` lacks."""
    beyond = sorted(
        scope
        for scope in set(scopes)
        if not user.has_perms([f"analytics.{right}" for right in _RIGHTS_OF_SCOPES.get(scope, ())])
    )
    if beyond:
        raise ScopesBeyondRights(f"You lack the rights for these scopes: {', '.join(beyond)}.")


def roles_make(**_: Any) -> None:
    """Create the roles and their permissions after each migration.

    Permissions that were added to a role by hand stay.
    """
    config = apps.get_app_config("analytics")
    create_permissions(config, verbosity=0)  # they may not exist yet
    view_all = Permission.objects.filter(
        content_type__app_label=config.label, codename__startswith="view_"
    )
    granted: dict[str, list[Permission]] = {VIEWER: [], ANALYST: _permissions(_ANALYST_ACTIONS)}
    granted[OPERATOR] = granted[ANALYST] + _permissions(_OPERATOR_ACTIONS)
    for name, permissions in granted.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.add(*view_all, *permissions)
    group, _created = Group.objects.get_or_create(name=FINANCE)
    group.permissions.add(*_permissions(dict.fromkeys(_FINANCE_TABLES, ("view",))))


def _permissions(tables: Mapping[Any, tuple[str, ...]]) -> list[Permission]:
    names = [
        f"{verb}_{table._meta.model_name}" for table, verbs in tables.items() for verb in verbs
    ]
    return list(Permission.objects.filter(content_type__app_label="analytics", codename__in=names))
