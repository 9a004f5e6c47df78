"""Levers: their modes and settings."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.levers import lever_save, levers_load
from analytics.models import Lever
from optimizer.api.manage.views import REFUSALS, TAG, ManageViewSet, StrictModelSerializer
from optimizer.api.v1.schema import ErrorBody
from optimizer.domain.levers import LEVERS
from optimizer.gateway.levers.option_check import lever_options_check
from optimizer.wiring.operation.errors import SetElsewhere, UnknownTarget


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
        return Response({"data": [self._shown(name) for name in LEVERS]})

    @extend_schema(
        operation_id="manage_levers_show",
        summary="Show a lever",
        tags=[TAG],
        responses={200: ManagedLeverBody, 404: ErrorBody},
    )
    def retrieve(self, request: Request, name: str) -> Response:
        """Return one lever."""
        return Response(self._shown(name))

    @extend_schema(
        operation_id="manage_levers_change",
        summary="Change a lever",
        tags=[TAG],
        request=LeverInput,
        responses={200: ManagedLeverBody, **REFUSALS},
    )
    def partial_update(self, request: Request, name: str) -> Response:
        """Change a lever; its history records who and what."""
        levers = self.services.levers
        if name not in LEVERS:
            raise UnknownTarget(f"There is no lever {name!r}.")
        with transaction.atomic():
            # One that is stopped in this moment stays stopped.
            row = Lever.objects.select_for_update().filter(pk=name).first()
            row = row or Lever(name=name, mode=levers.states[name].mode)
            self._change(request, row)
        levers.refresh()
        return Response(self._shown(name))

    def _change(self, request: Request, row: Lever) -> None:
        levers, name = self.services.levers, row.name
        sent = LeverInput(row, data=request.data, partial=True)
        sent.is_valid(raise_exception=True)
        fields: dict[str, Any] = sent.validated_data
        if levers.states[name].fixed and fields.get("mode", row.mode) != levers.mode(name):
            raise SetElsewhere(f"The environment sets the mode of {name}, and wins.")
        try:
            lever_options_check(name, fields.get("options", row.options))
        except ValueError as error:
            raise ValidationError({"options": [str(error)]}) from None
        for field, value in fields.items():
            setattr(row, field, value)
        lever_save(row, who=self.actor(request).name[:150])

    def _shown(self, name: str) -> dict[str, Any]:
        if name not in LEVERS:
            raise UnknownTarget(f"There is no lever {name!r}.")
        levers = self.services.levers
        levers.refresh()
        row = next((row for row in levers_load() if row.name == name), None)
        state = levers.states[name]
        return {
            "name": name,
            "what": LEVERS[name],
            "mode": state.mode,
            "control_share": state.control_share,
            "options": state.options,
            "set_by_environment": state.fixed,
            "stopped": row.stop_reason if row is not None and row.stopped_at else "",
        }
