"""Operators' rules: read for routing, saved with who changed what."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Q

from analytics.models import RoutingRule, RuleChange
from routing.rule_reading import FIELDS, RuleError, read_rule
from routing.rules import Rule

logger = logging.getLogger(__name__)

_SHOWN = ("position", "enabled", "note", *FIELDS)


def rule_fields(row: RoutingRule) -> dict[str, Any]:
    """What :func:`routing.rule_reading.read_rule` reads."""
    return {name: _value(row, name) for name in FIELDS}


def _value(row: RoutingRule, name: str) -> Any:
    return row.model_names if name == "models" else getattr(row, name)


def rules_load(also: Collection[str] = ()) -> list[Rule]:
    """Rules that are switched on, and those named in ``also``, in their order.

    One that cannot be read is left out, and said.
    """
    found = []
    for row in RoutingRule.objects.filter(Q(enabled=True) | Q(name__in=also)):
        try:
            found.append(read_rule(rule_fields(row)))
        except RuleError as error:
            logger.error("The rule %s is left out: %s", row.name, error)
    return found


def rule_save(row: RoutingRule, *, who: str) -> None:
    """Save ``row`` and remember the change. Raises :class:`routing.rule_reading.RuleError`."""
    read_rule(rule_fields(row))
    with transaction.atomic():
        before = RoutingRule.objects.filter(pk=row.pk).first() if row.pk else None
        row.save()
        was, now = _shown(before), _shown(row)
        if was != now:
            RuleChange.objects.create(rule=row.name, who=who, before=was, after=now)


def rule_delete(row: RoutingRule, *, who: str) -> None:
    """Delete ``row`` and remember what it was."""
    with transaction.atomic():
        RuleChange.objects.create(rule=row.name, who=who, before=_shown(row))
        row.delete()


def _shown(row: RoutingRule | None) -> dict[str, Any] | None:
    """What of a rule is given, as the trail of changes keeps it."""
    if row is None:
        return None
    values = {name: _value(row, name) for name in _SHOWN}
    return {
        name: value if isinstance(value, (bool, list)) else str(value)
        for name, value in values.items()
        if value not in (None, "", [])
    }
