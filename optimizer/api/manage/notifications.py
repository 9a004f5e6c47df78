"""Channels and digests, and what all rows share that notify somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.models import Digest, NotificationChannel
from analytics.models.notification_target import NotificationTarget, masked_address
from optimizer.api.http.fields import TrimmedTextField
from optimizer.api.manage.views import TAG, RowsViewSet, StrictModelSerializer, documented
from optimizer.api.v1.schema import ErrorBody
from optimizer.monitoring.alerts import channel_send_test, rule_test

PLACES = ("channels", "webhook", "emails")
_ADDRESS = 2000


class SentTestBody(s.Serializer):
    """What came of a test."""

    sent = s.BooleanField(help_text="Whether it arrived everywhere.")
    errors = s.ListField(child=s.CharField(), help_text="Each with its place.")  # type: ignore[assignment]


class NotifyingInput(StrictModelSerializer):
    """Whom a row notifies. Channels exist already, and are named."""

    channels: s.ManyRelatedField = s.SlugRelatedField(  # type: ignore[assignment]  # ``many``
        "name", queryset=NotificationChannel.objects.all(), many=True, required=False
    )
    webhook = TrimmedTextField(
        required=False, allow_blank=True, max_length=_ADDRESS, help_text="It is never shown again."
    )


class NotifyingBody(s.ModelSerializer):
    """Whom a row notifies; of the webhook's address only host and end."""

    channels: Any = s.SlugRelatedField("name", many=True, read_only=True)
    webhook = s.SerializerMethodField()

    def get_webhook(self, row: NotificationTarget) -> str:
        """Return the address without its secret."""
        return masked_address(row.webhook)


class NotifyingViewSet(RowsViewSet):
    """Rows that notify channels, a webhook or e-mail addresses; ``needed`` is whether they must."""

    needed: ClassVar = True

    def checked(self, sent: s.Serializer, row: Any) -> dict[str, Any]:
        """Return the fields; refuse a row that would notify nobody."""
        fields = super().checked(sent, row)
        self._channels: Sequence[NotificationChannel] | None = fields.pop("channels", None)
        if self.needed:
            channels = self._channels
            if channels is None:
                channels = () if row is None else list(row.channels.all())
            places = [fields.get(name, getattr(row, name, "")) for name in PLACES[1:]]
            if not (channels or any(places)):
                words = "Name a channel, or give a webhook or an e-mail address."
                raise ValidationError({"channels": [words]})
        return fields

    def insert(self, row: Any) -> None:
        """Store a new row and its channels. Raises Django's ``ValidationError``."""
        self.update(row)

    def update(self, row: Any) -> None:
        """Store a changed row and its channels. Raises Django's ``ValidationError``."""
        row.full_clean()
        row.save()
        self.set_channels(row)

    def set_channels(self, row: Any) -> None:
        """Store the channels that were sent, if any were."""
        if self._channels is not None:
            row.channels.set(self._channels)

    def test(self, request: Request, number: int) -> Response:
        """Send a test to everybody whom it notifies."""
        return _tested(rule_test(self.row(number)))

    def _all(self) -> Any:
        return super()._all().prefetch_related("channels")


def sends_test(noun: str) -> Any:
    """Describe the operation that tests a ``noun``."""
    return extend_schema(
        operation_id=f"manage_{noun.replace(' ', '_')}_test",
        summary=f"Test a {noun}",
        tags=[TAG],
        request=None,
        responses={200: SentTestBody, 404: ErrorBody},
    )


def deletes(noun: str) -> Any:
    """Describe the operation that deletes a ``noun``."""
    return extend_schema(
        operation_id=f"manage_{noun.replace(' ', '_')}_delete",
        summary=f"Delete a {noun}",
        tags=[TAG],
        responses={204: None, 404: ErrorBody},
    )


_CHANNEL = ("name", "enabled", "kind", "address", "emails")


@extend_schema_serializer(component_name="ManagedChannelInput")
class ChannelInput(StrictModelSerializer):
    """A place that notifications go to. The address is a secret."""

    address = TrimmedTextField(
        required=False, allow_blank=True, max_length=_ADDRESS, help_text="It is never shown again."
    )

    class Meta:
        model = NotificationChannel
        fields = _CHANNEL


class ManagedChannelBody(s.ModelSerializer):
    """A channel; of its address only host and end."""

    address = s.SerializerMethodField()

    class Meta:
        model = NotificationChannel
        fields = ("id", *_CHANNEL, "created_at")

    def get_address(self, channel: NotificationChannel) -> str:
        """Return the address without its secret."""
        return masked_address(channel.address)


@documented
class ManagedChannelsViewSet(RowsViewSet):
    """Serves ``/manage/channels``."""

    rows: ClassVar = NotificationChannel
    noun = "channel"
    input_class = ChannelInput
    output_class = ManagedChannelBody

    @deletes("channel")
    def destroy(self, request: Request, number: int) -> Response:
        """Delete a channel: nothing is sent there any more."""
        self.remove(self.row(number), self.actor(request))
        return Response(status=204)

    @sends_test("channel")
    def test(self, request: Request, number: int) -> Response:
        """Send a test there."""
        return _tested(channel_send_test(self.row(number)))

    def insert(self, row: NotificationChannel) -> None:
        """Store a new channel. Raises Django's ``ValidationError``."""
        self.update(row)

    def update(self, row: NotificationChannel) -> None:
        """Store a changed channel. Raises Django's ``ValidationError``."""
        row.full_clean()
        row.save()


_DIGEST = ("name", "enabled", "period", "scope", "subject", "time_zone", "hour", *PLACES)


@extend_schema_serializer(component_name="ManagedDigestInput")
class DigestInput(NotifyingInput):
    """A summary of each week or month that is over."""

    class Meta:
        model = Digest
        fields = _DIGEST


class ManagedDigestBody(NotifyingBody):
    """A digest."""

    class Meta:
        model = Digest
        fields = ("id", *_DIGEST, "created_at")


@documented
class ManagedDigestsViewSet(NotifyingViewSet):
    """Serves ``/manage/digests``."""

    rows: ClassVar = Digest
    noun = "digest"
    input_class = DigestInput
    output_class = ManagedDigestBody

    @deletes("digest")
    def destroy(self, request: Request, number: int) -> Response:
        """Delete a digest and its issues."""
        self.remove(self.row(number), self.actor(request))
        return Response(status=204)

    @sends_test("digest")
    def test(self, request: Request, number: int) -> Response:
        """Send a test to everybody who gets the digest."""
        return super().test(request, number)


def _tested(errors: list[str]) -> Response:
    body: Mapping[str, Any] = {"sent": not errors, "errors": errors}
    return Response(body)
