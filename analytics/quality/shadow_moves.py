"""Leaves kinds of requests that named a model to routing, all at once, and undoes that at once."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from analytics.models import RoutingRule, ShadowMove
from analytics.quality.shadow import MOVES, ShadowKind
from analytics.rules import rule_delete, rule_save

_LONGEST_NAME = 100
_POSITION = 900
"""After the rules that operators write, whose default position is 100."""


class NothingToMove(Exception):
    """The bound of no kind holds now, or rules have moved all of them."""


class AlreadyMoved(Exception):
    """Somebody else has moved one of the kinds just now; nothing was changed."""


class NothingToUndo(Exception):
    """No move is in force."""


def movable(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the kinds of a shadow report whose bound holds and that no rule has moved yet."""
    taken = set(RoutingRule.objects.values_list("name", flat=True))
    return [
        kind
        for kind in report["kinds"]
        if kind["verdict"] == MOVES and rule_name(_kind(kind)) not in taken
    ]


def shadow_move(kinds: Iterable[Mapping[str, Any]], margin: float, *, who: str) -> ShadowMove:
    """Create and switch on a rule for each of ``kinds``, as :func:`movable` returns them.

    The rules concern requests that are text alone: those with tools were never compared.
    Raises :class:`AlreadyMoved`.
    """
    kinds = list(kinds)
    rules = [_rule(_kind(kind), kind, margin) for kind in kinds]
    try:
        with transaction.atomic():
            for rule in rules:
                rule_save(rule, who=who)
            return ShadowMove.objects.create(
                who=who,
                rules=[rule.name for rule in rules],
                evidence=[_evidence(kind) for kind in kinds],
            )
    except IntegrityError:
        raise AlreadyMoved("Some of these kinds were moved just now. Look again.") from None


def shadow_undo(*, who: str) -> ShadowMove:
    """Delete the rules of the last move in force, and return it. Raises :class:`NothingToUndo`."""
    with transaction.atomic():
        move = ShadowMove.objects.select_for_update().filter(undone_at=None).first()
        if move is None:
            raise NothingToUndo("No move is in force.")
        for rule in RoutingRule.objects.filter(name__in=move.rules):
            rule_delete(rule, who=who)
        move.undone_at, move.undone_by = timezone.now(), who
        move.save(update_fields=["undone_at", "undone_by"])
    return move


def rule_name(kind: ShadowKind) -> str:
    """Return the name of the rule that moves a kind, at most 100 characters."""
    name = f"shadow: {kind.requested_model}, {kind.pattern}, {kind.tier}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]} {digest}"


def _kind(row: Mapping[str, Any]) -> ShadowKind:
    return ShadowKind(*(row[name] for name in ShadowKind._fields))


def _rule(kind: ShadowKind, row: Mapping[str, Any], margin: float) -> RoutingRule:
    return RoutingRule(
        name=rule_name(kind),
        position=_POSITION,
        enabled=True,
        note=f"{row['pairs']} pairs of answers: the score is at most {-row['gain']['low']:.3f} "
        f"below even (margin {margin:g}), and {row['saved_percent']:g} % of the cost is saved.",
        # A name may have brackets, which are no wildcard here.
        requested_models=[glob.escape(kind.requested_model)],
        patterns=[kind.pattern],
        tiers=[kind.tier],
        only_text=True,
        action="route",
    )


def _evidence(row: Mapping[str, Any]) -> dict[str, Any]:
    names = (*ShadowKind._fields, "pairs", "wins", "ties", "losses", "gain", "saved_percent")
    return {name: row[name] for name in names}
