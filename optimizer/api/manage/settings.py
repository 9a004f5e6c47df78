"""Settings of judge, guarantee, baseline, shadow evaluation and autopilot, and its switch."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.audit import audit_changed
from analytics.autopilot.steps import autopilot_on, autopilot_switch
from optimizer.api.http.fields import (
    StrictBooleanField,
    StrictNumberField,
    StrictSerializer,
    StrictTextField,
)
from optimizer.api.manage.views import TAG, ChangeRefused, ManageViewSet, require_changes
from optimizer.api.v1.schema import ErrorBody
from optimizer.wiring.autopilot import autopilot_obstacle
from optimizer.wiring.operation.settings import SettingStanding


class ManagedSettingBody(s.Serializer):
    """A setting in force, and where its value comes from."""

    name = s.CharField()
    value = s.JSONField(help_text="A number or a text.")
    set_from = s.ChoiceField(("environment", "operator", "default"))
    set_by = s.CharField(help_text="The variable of the environment that wins; empty if none.")
    what = s.CharField()


@extend_schema_serializer(many=False)
class ManagedSettingList(s.Serializer):
    """All settings that can be changed while the service runs."""

    data = ManagedSettingBody(many=True)  # type: ignore[assignment]


def _number() -> StrictNumberField:
    return StrictNumberField(required=False, allow_null=True)


def _model() -> StrictTextField:
    return StrictTextField(required=False, allow_null=True, allow_blank=True, max_length=200)


class ManagedSettingsViewSet(ManageViewSet):
    """Serves ``/manage/settings``."""

    @extend_schema_serializer(component_name="ManagedSettingsInput")
    class InputSerializer(StrictSerializer):
        """New values; null returns a setting to its default."""

        judge_model = _model()
        judge_rate = _number()
        judge_daily_budget = _number()
        guarantee_reference = _model()
        guarantee_tolerance = _number()
        guarantee_confidence = _number()
        baseline_model = _model()
        shadow_rate = _number()
        shadow_daily_budget = _number()
        shadow_margin = _number()
        autopilot_rate = _number()
        autopilot_share = _number()
        autopilot_margin = _number()
        autopilot_confidence = _number()
        autopilot_daily_budget = _number()
        autopilot_monthly_budget = _number()
        autopilot_daily_points = _number()
        autopilot_monthly_points = _number()
        autopilot_trial_days = _number()

    @extend_schema(
        operation_id="manage_settings_list",
        summary="List settings",
        tags=[TAG],
        responses=ManagedSettingList,
    )
    def list(self, request: Request) -> Response:
        """Return the settings in force."""
        return Response(self._body())

    @extend_schema(
        operation_id="manage_settings_change",
        summary="Change settings",
        tags=[TAG],
        request=InputSerializer,
        responses={200: ManagedSettingList, 400: ErrorBody, 409: ErrorBody},
    )
    def partial_update(self, request: Request) -> Response:
        """Change some settings, all of them or none. They are in force within a second."""
        require_changes(request)
        sent = self.InputSerializer(data=request.data, partial=True)
        sent.is_valid(raise_exception=True)
        values = {
            name: None if value is None else str(value)
            for name, value in sent.validated_data.items()
        }
        self.services.quality.change(values, who=self.actor(request))
        return Response(self._body())

    def _body(self) -> dict[str, Any]:
        return {"data": list(map(_shown, self.services.quality.standings()))}


def _shown(standing: SettingStanding) -> dict[str, Any]:
    value = standing.value
    return {
        "name": standing.spec.field,
        "value": value if isinstance(value, str) else float(value),
        "set_from": standing.source,
        "set_by": standing.set_by,
        "what": standing.spec.what,
    }


class AutopilotBody(s.Serializer):
    """Whether the autopilot is on, and why it cannot work, empty if it can."""

    on = s.BooleanField()
    obstacle = s.CharField()


class ManagedAutopilotViewSet(ManageViewSet):
    """Serves ``/manage/autopilot``."""

    @extend_schema_serializer(component_name="AutopilotInput")
    class InputSerializer(StrictSerializer):
        """Whether it is on. Off, traffic that it moved goes back to routing's own choice."""

        on = StrictBooleanField()

    @extend_schema(
        operation_id="manage_autopilot_show",
        summary="Show the autopilot's switch",
        tags=[TAG],
        responses=AutopilotBody,
    )
    def retrieve(self, request: Request) -> Response:
        """Return whether it is on."""
        self.services.quality.refresh()
        return Response(self._body())

    @extend_schema(
        operation_id="manage_autopilot_change",
        summary="Switch the autopilot on or off",
        tags=[TAG],
        request=InputSerializer,
        responses={200: AutopilotBody, 400: ErrorBody, 409: ErrorBody},
    )
    def partial_update(self, request: Request) -> Response:
        """Switch it on or off. Without a judge, or beside a guarantee, it stays off."""
        sent = self.InputSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        on, who = sent.validated_data["on"], self.actor(request)
        self.services.quality.refresh()
        obstacle = self._body()["obstacle"]
        if on and obstacle:
            raise ChangeRefused(f"The autopilot cannot work: {obstacle}.")
        with transaction.atomic():
            row = autopilot_switch(on=on, who=who.name)
            audit_changed(row, f"switched {row}", who=who)
        return Response(self._body())

    def _body(self) -> dict[str, Any]:
        product = self.services.quality.product
        on = autopilot_on(by_default=product.autopilot)
        return {"on": on, "obstacle": autopilot_obstacle(product)}
