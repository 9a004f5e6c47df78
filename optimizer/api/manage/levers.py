"""Levers: their modes and settings."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.models import Lever
from optimizer.api.manage.views import (
    REFUSALS,
    TAG,
    ManageViewSet,
    StrictModelSerializer,
    require_changes,
)
from optimizer.api.v1.schema import ErrorBody
from optimizer.domain.levers import LEVERS
from optimizer.wiring.operation.levers import lever_change, lever_find, lever_locked, lever_rows


@extend_schema_serializer(component_name="ManagedLeverInput")
class LeverInput(StrictModelSerializer):
    """What an operator sets of a lever."""

    options = s.DictField(required=False)

    class Meta:
        model = Lever
        fields = ("mode", "control_share", "harm_budget", "ramping", "options")


class ManagedLeverBody(s.Serializer):
    """A lever as it is used now."""

    name = s.CharField()
    what = s.CharField()
    mode = s.CharField(help_text="off, on or prove: the mode in force.")
    control_share = s.FloatField(help_text="Share of requests left alone where it is proven.")
    options = s.DictField()
    set_by_environment = s.BooleanField(help_text="The environment sets the mode, and wins.")
    stopped = s.CharField(help_text="Why it was stopped, as it did harm; empty if it was not.")


@extend_schema_serializer(many=False)
class ManagedLeverList(s.Serializer):
    """All levers."""

    data = ManagedLeverBody(many=True)  # type: ignore[assignment]


class ManagedLeversViewSet(ManageViewSet):
    """Serves ``/manage/levers``."""

    @extend_schema(
        operation_id="manage_levers_list",
        summary="List levers",
        tags=[TAG],
        responses=ManagedLeverList,
    )
    def list(self, request: Request) -> Response:
        """Return all levers as they are used now."""
        return Response({"data": [self._shown(row) for row in lever_rows(self.services.levers)]})

    @extend_schema(
        operation_id="manage_levers_show",
        summary="Show a lever",
        tags=[TAG],
        responses={200: ManagedLeverBody, 404: ErrorBody},
    )
    def retrieve(self, request: Request, name: str) -> Response:
        """Return one lever."""
        return Response(self._shown(lever_find(self.services.levers, name)))

    @extend_schema(
        operation_id="manage_levers_change",
        summary="Change a lever",
        tags=[TAG],
        request=LeverInput,
        responses={200: ManagedLeverBody, **REFUSALS},
    )
    def partial_update(self, request: Request, name: str) -> Response:
        """Change a lever; its history records who and what."""
        require_changes(request)
        levers = self.services.levers
        with transaction.atomic():
            # One that is stopped in this moment stays stopped.
            row = lever_locked(levers, name)
            sent = LeverInput(row, data=request.data, partial=True)
            sent.is_valid(raise_exception=True)
            lever_change(levers, row, sent.validated_data, who=self.actor(request))
        levers.refresh()
        return Response(self._shown(row))

    def _shown(self, row: Lever) -> dict[str, Any]:
        state = self.services.levers.states[row.name]
        return {
            "name": row.name,
            "what": LEVERS[row.name],
            "mode": state.mode,
            "control_share": state.control_share,
            "options": state.options,
            "set_by_environment": state.fixed,
            "stopped": row.stop_reason if row.stopped_at else "",
        }
