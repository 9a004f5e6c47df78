"""What people may do in the admin: viewer, analyst, operator; an administrator may do everything.

Roles are Django groups of these names, so a user is given one in the admin like any
other group. Nobody's role can rewrite what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

from analytics.models import (
    AlertRule,
    ApiKey,
    Budget,
    BudgetHold,
    CachedResponse,
    Experiment,
    PriceOverride,
    Project,
    RequestRecord,
    RoutingRule,
    Team,
)

VIEWER, ANALYST, OPERATOR, ADMINISTRATOR = "viewer", "analyst", "operator", "administrator"
ROLES = (ADMINISTRATOR, OPERATOR, ANALYST, VIEWER)
"""The one that may most first."""

_CHANGED_BY_ANALYSTS = {
    Experiment: ("add", "change", "delete"),
    RequestRecord: ("ask",),
}
_CHANGED_BY_OPERATORS = {
    RoutingRule: ("add", "change", "delete"),
    Budget: ("add", "change"),
    BudgetHold: ("change",),
    ApiKey: ("add", "change"),
    Team: ("add", "change"),
    Project: ("add", "change"),
    AlertRule: ("add", "change", "delete"),
    PriceOverride: ("add", "change", "delete"),
    CachedResponse: ("delete",),
}


def roles_make(**_: Any) -> None:
    """See that the roles exist with their permissions. Runs after each migration; what was
    added to a role by hand stays.
    """
    config = apps.get_app_config("analytics")
    create_permissions(config, verbosity=0)  # they may not be there yet
    seen = Permission.objects.filter(
        content_type__app_label=config.label, codename__startswith="view_"
    )
    changed: dict[str, list[Permission]] = {VIEWER: [], ANALYST: _to(_CHANGED_BY_ANALYSTS)}
    changed[OPERATOR] = changed[ANALYST] + _to(_CHANGED_BY_OPERATORS)
    for name, permissions in changed.items():
        group, _made = Group.objects.get_or_create(name=name)
        group.permissions.add(*seen, *permissions)


def _to(tables: Mapping[Any, tuple[str, ...]]) -> list[Permission]:
    names = [
        f"{verb}_{table._meta.model_name}" for table, verbs in tables.items() for verb in verbs
    ]
    return list(Permission.objects.filter(content_type__app_label="analytics", codename__in=names))
