"""Alerts: what is watched, muted and tested."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Exists, OuterRef
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.audit import audit_changed
from analytics.alerts.raising import rule_mute
from analytics.models import Alert, AlertRule
from analytics.models.alerts import FILTERS
from optimizer.api.http.fields import StrictNumberField, StrictSerializer
from optimizer.api.manage.notifications import (
    PLACES,
    NotifyingBody,
    NotifyingInput,
    NotifyingViewSet,
    deletes,
    sends_test,
)
from optimizer.api.manage.views import TAG, documented
from optimizer.api.v1.schema import ErrorBody

_SET = (
    "name", "enabled", "metric", "limit", "period", "window_minutes", *FILTERS, *PLACES,
    "notify_resolved",
)  # fmt: skip
_MOST_HOURS = 24 * 365


@extend_schema_serializer(component_name="ManagedAlertInput")
class AlertInput(NotifyingInput):
    """A figure that is watched, and its limit."""

    class Meta:
        model = AlertRule
        fields = _SET


class ManagedAlertBody(NotifyingBody):
    """An alert and its state."""

    firing = s.SerializerMethodField()

    class Meta:
        model = AlertRule
        fields = ("id", *_SET, "firing", "muted_until", "checked_at", "last_value", "last_text")

    def get_firing(self, rule: Any) -> bool:
        """Return whether the limit is passed now."""
        if hasattr(rule, "firing"):
            return bool(rule.firing)
        return Alert.objects.filter(rule=rule, resolved_at=None).exists()


@extend_schema_serializer(component_name="MuteInput")
class MuteInput(StrictSerializer):
    """For how long nobody is notified."""

    hours = StrictNumberField(min_value=0.1, max_value=_MOST_HOURS)


@documented
class ManagedAlertsViewSet(NotifyingViewSet):
    """Serves ``/manage/alerts``."""

    rows: ClassVar = AlertRule
    noun = "alert"
    input_class = AlertInput
    output_class = ManagedAlertBody

    @deletes("alert")
    def destroy(self, request: Request, number: int) -> Response:
        """Delete an alert and its history."""
        self.remove(self.row(number), self.actor(request))
        return Response(status=204)

    @sends_test("alert")
    def test(self, request: Request, number: int) -> Response:
        """Send a test to everybody whom the alert notifies."""
        return super().test(request, number)

    @extend_schema(
        operation_id="manage_alert_mute",
        summary="Mute an alert",
        tags=[TAG],
        request=MuteInput,
        responses={200: ManagedAlertBody, 400: ErrorBody, 404: ErrorBody},
    )
    def mute(self, request: Request, number: int) -> Response:
        """Notify nobody for some hours. What still fires then is sent then."""
        sent = MuteInput(data=request.data)
        sent.is_valid(raise_exception=True)
        rule, hours = self.row(number), sent.validated_data["hours"]
        rule_mute(rule, timezone.now() + timedelta(hours=hours))
        audit_changed(rule, f"muted for {hours:g} hours", who=self.actor(request))
        return Response(self.shown(self.row(number)))

    @extend_schema(
        operation_id="manage_alert_unmute",
        summary="End the mute of an alert",
        tags=[TAG],
        request=None,
        responses={200: ManagedAlertBody, 404: ErrorBody},
    )
    def unmute(self, request: Request, number: int) -> Response:
        """Notify people again."""
        rule = self.row(number)
        rule_mute(rule, None)
        audit_changed(rule, "no longer muted", who=self.actor(request))
        return Response(self.shown(self.row(number)))

    def _all(self) -> Any:
        open_ones = Alert.objects.filter(rule=OuterRef("pk"), resolved_at=None)
        return super()._all().annotate(firing=Exists(open_ones))
