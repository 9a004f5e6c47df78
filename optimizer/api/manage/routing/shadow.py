"""Shadow evaluation: what it found, and moves of kinds of requests to routing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.models import ShadowMove
from analytics.quality.shadow import VERDICTS
from analytics.quality.shadow_moves import AlreadyMoved, NothingToMove, NothingToUndo, movable
from optimizer.api.http.fields import StrictIntegerField, StrictSerializer
from optimizer.api.manage.views import REFUSALS, TAG, ChangeRefused, ManageViewSet
from optimizer.api.v1.schema import ErrorBody
from optimizer.wiring.operation.shadow import latest_moves, move_ready, shadow_now, undo_last

_SHOWN = ("requested_model", "pattern", "tier", "pairs", "saved_percent", "verdict")
_USUAL_DAYS, _MOST_DAYS, _MOST_MOVES = 30, 365, 100


class _Period(StrictSerializer):
    days = s.IntegerField(min_value=1, max_value=_MOST_DAYS, default=_USUAL_DAYS)


@extend_schema_serializer(component_name="ShadowMoveInput")
class MoveInput(StrictSerializer):
    """The period whose pairs decide what is moved."""

    days = StrictIntegerField(min_value=1, max_value=_MOST_DAYS, default=_USUAL_DAYS)


class ShadowKindBody(s.Serializer):
    """A kind of requests: a named model, a pattern and a tier, and what its pairs show."""

    requested_model = s.CharField()
    pattern = s.CharField()
    tier = s.CharField()
    pairs = s.IntegerField()
    saved_percent = s.FloatField(allow_null=True)
    verdict = s.CharField(help_text=f"{', '.join(VERDICTS[:-1])} or {VERDICTS[-1]}.")
    movable = s.BooleanField(help_text="Whether a move would leave it to routing now.")


class ManagedShadowBody(s.Serializer):
    """What shadow evaluation found in a period."""

    days = s.IntegerField()
    margin = s.FloatField()
    pairs = s.IntegerField()
    kinds = ShadowKindBody(many=True)


class ShadowMoveBody(s.Serializer):
    """A move: the rules that it created, and the evidence of then."""

    id = s.IntegerField()
    at = s.DateTimeField()
    who = s.CharField()
    rules = s.ListField(child=s.CharField())
    evidence = s.ListField(child=s.DictField())
    undone_at = s.DateTimeField(allow_null=True)
    undone_by = s.CharField()


@extend_schema_serializer(many=False)
class ShadowMoveList(s.Serializer):
    """The latest moves, the last one first."""

    data = ShadowMoveBody(many=True)  # type: ignore[assignment]


class ManagedShadowViewSet(ManageViewSet):
    """Serves ``/manage/shadow``."""

    @extend_schema(
        operation_id="manage_shadow_show",
        summary="Show shadow evaluation",
        tags=[TAG],
        parameters=[OpenApiParameter("days", int, description=f"1 to {_MOST_DAYS}.")],
        responses={200: ManagedShadowBody, 400: ErrorBody},
    )
    def retrieve(self, request: Request) -> Response:
        """Return the kinds of requests that were compared, and which of them a move would move."""
        period = _Period(data=request.query_params)
        period.is_valid(raise_exception=True)
        days = period.validated_data["days"]
        report = _report(days)
        ready = movable(report)
        return Response(
            {
                "days": days,
                "margin": report["margin"],
                "pairs": report["overall"]["pairs"],
                "kinds": [_kind(kind, movable=kind in ready) for kind in report["kinds"]],
            }
        )


class ManagedShadowMovesViewSet(ManageViewSet):
    """Serves ``/manage/shadow/moves``."""

    @extend_schema(
        operation_id="manage_shadow_moves_list",
        summary="List moves of shadow evaluation",
        tags=[TAG],
        responses=ShadowMoveList,
    )
    def list(self, request: Request) -> Response:
        """Return the latest moves."""
        return Response({"data": list(map(_moved, latest_moves(_MOST_MOVES)))})

    @extend_schema(
        operation_id="manage_shadow_move_create",
        summary="Move kinds of requests to routing",
        tags=[TAG],
        request=MoveInput,
        responses={201: ShadowMoveBody, 400: ErrorBody, 409: ErrorBody},
    )
    def create(self, request: Request) -> Response:
        """Create and switch on a rule for each kind whose bound holds; 409 if there is none."""
        sent = MoveInput(data=request.data)
        sent.is_valid(raise_exception=True)
        report = _report(sent.validated_data["days"])
        try:
            move = move_ready(report, who=self.actor(request))
        except (NothingToMove, AlreadyMoved) as error:
            raise ChangeRefused(str(error)) from None
        self.services.rules.refresh()
        return Response(_moved(move), status=201)

    @extend_schema(
        operation_id="manage_shadow_move_undo",
        summary="Undo the last move",
        tags=[TAG],
        request=None,
        responses={200: ShadowMoveBody, **REFUSALS},
    )
    def undo(self, request: Request) -> Response:
        """Delete the rules of the last move that is in force; 409 if there is none."""
        try:
            move = undo_last(who=self.actor(request))
        except NothingToUndo as error:
            raise ChangeRefused(str(error)) from None
        self.services.rules.refresh()
        return Response(_moved(move))


def _report(days: int) -> dict[str, Any]:
    return shadow_now(datetime.now(UTC) - timedelta(days=days))


def _kind(kind: dict[str, Any], *, movable: bool) -> dict[str, Any]:
    return {**{name: kind[name] for name in _SHOWN}, "movable": movable}


def _moved(move: ShadowMove) -> dict[str, Any]:
    return {
        "id": move.pk,
        "at": move.at,
        "who": move.who,
        "rules": move.rules,
        "evidence": move.evidence,
        "undone_at": move.undone_at,
        "undone_by": move.undone_by,
    }
