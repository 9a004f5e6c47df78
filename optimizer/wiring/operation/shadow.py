"""Moves of shadow evaluation, for the command, the page and the management API alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from analytics.access.audit import Actor, audit_added, audit_changed
from analytics.models import ShadowMove
from analytics.quality.shadow import shadow_report
from analytics.quality.shadow_moves import NothingToMove, movable, shadow_move, shadow_undo
from optimizer.wiring.operation.settings import settings_in_force


def shadow_now(since: datetime, until: datetime | None = None) -> dict[str, Any]:
    """Return the report of a period by the margin in force, up to now without ``until``.

    It reads the database.
    """
    return shadow_report(settings_in_force().shadow_margin, since, until)


def ready_kinds(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the kinds of ``report`` that a move would leave to routing now.

    Raises :class:`analytics.quality.shadow_moves.NothingToMove`.
    """
    kinds = movable(report)
    if not kinds:
        raise NothingToMove("No kind of requests can be moved now.")
    return kinds


def move_ready(report: Mapping[str, Any], *, who: Actor) -> ShadowMove:
    """Leave the kinds of ``report`` whose bound holds to routing, and write it to the audit trail.

    Raises :class:`analytics.quality.shadow_moves.NothingToMove` and
    :class:`analytics.quality.shadow_moves.AlreadyMoved`.
    """
    kinds = ready_kinds(report)
    move = shadow_move(kinds, report["margin"], who=who.name)
    audit_added(move, f"moved: {'; '.join(move.rules)}", who=who)
    return move


def undo_last(*, who: Actor) -> ShadowMove:
    """Delete the rules of the last move in force, and write it to the audit trail.

    Raises :class:`analytics.quality.shadow_moves.NothingToUndo`.
    """
    move = shadow_undo(who=who.name)
    audit_changed(move, f"undone: {'; '.join(move.rules)}", who=who)
    return move


def latest_moves(most: int) -> QuerySet[ShadowMove]:
    """Return the latest moves, at most ``most``, the last one first."""
    return ShadowMove.objects.all()[:most]
