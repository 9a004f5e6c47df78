"""Operators' rules: loaded for routing, and saved with a record of each change."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Q

from analytics.models import RoutingRule, RuleChange
from routing.rule_parser import FIELDS, RuleError, read_rule
from routing.rules import Rule

logger = logging.getLogger(__name__)

_RECORDED = ("position", "enabled", "note", *FIELDS)


def rule_fields(row: RoutingRule) -> dict[str, Any]:
    """Return the fields of ``row`` that :func:`routing.rule_parser.read_rule` reads."""
    return {name: _value(row, name) for name in FIELDS}


def _value(row: RoutingRule, name: str) -> Any:
    return row.model_names if name == "models" else getattr(row, name)


def rules_load(also: Collection[str] = ()) -> list[Rule]:
    """Return the rules that are switched on or named in ``also``, in their order.

    A rule that cannot be read is left out, and logged as an error.
    """
    rules = []
    for row in RoutingRule.objects.filter(Q(enabled=True) | Q(name__in=also)):
        try:
            rules.append(read_rule(rule_fields(row)))
        except RuleError as error:
            logger.error("The rule %s is left out: %s", row.name, error)
    return rules


def rules_version() -> object:
    """Return a version that differs after every change of a rule."""
    return tuple(RoutingRule.objects.values_list())


def rule_save(row: RoutingRule, *, who: str) -> None:
    """Save ``row`` and record the change. Raises :class:`routing.rule_parser.RuleError`."""
    read_rule(rule_fields(row))
    with transaction.atomic():
        before = RoutingRule.objects.filter(pk=row.pk).first() if row.pk else None
        row.save()
        old, new = _recorded(before), _recorded(row)
        if old != new:
            RuleChange.objects.create(rule=row.name, who=who, before=old, after=new)


def rule_delete(row: RoutingRule, *, who: str) -> None:
    """Delete ``row`` and record its last values, unless somebody else has deleted it."""
    with transaction.atomic():
        if RoutingRule.objects.filter(pk=row.pk).delete()[0]:
            RuleChange.objects.create(rule=row.name, who=who, before=_recorded(row))


def _recorded(row: RoutingRule | None) -> dict[str, Any] | None:
    """Return the fields of a rule that have a value, as the record of changes keeps them."""
    if row is None:
        return None
    values = {name: _value(row, name) for name in _RECORDED}
    return {
        name: value if isinstance(value, (bool, list)) else str(value)
        for name, value in values.items()
        if value not in (None, "", [])
    }
