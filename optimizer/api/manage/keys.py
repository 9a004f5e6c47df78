"""API keys of clients: created, changed, rotated and revoked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.audit import Actor, audit_added, audit_changed
from analytics.access.developers import developer_named, keys_assign
from analytics.access.keys import (
    KeyRevoked,
    NewKey,
    addresses_beyond,
    key_change,
    key_make,
    key_revoke,
    key_rotate,
)
from analytics.models import ApiKey, Project, Team
from analytics.models.keys import SCOPES, default_scopes
from optimizer.api.http.fields import StrictNumberField, StrictSerializer
from optimizer.api.http.views import client_of
from optimizer.api.manage.views import (
    TAG,
    ChangeRefused,
    RowsViewSet,
    StrictModelSerializer,
    documented,
    texts_field,
)
from optimizer.api.v1.schema import ErrorBody

_LIMITS = (
    "requests_per_minute", "tokens_per_minute", "concurrent_requests", "quality_target",
    "cost_cap", "auto_route", "strict", "residency", "expires_at",
)  # fmt: skip
_SET = ("name", "user", "team", "project", "scopes", "model_names", "addresses", *_LIMITS)
_MOST_HOURS = 24 * 90
_ORDINARY = frozenset(default_scopes())


class OwnedInput(StrictModelSerializer):
    """For which team and project keys are. They must exist, and are named."""

    team = s.SlugRelatedField(
        "name",
        queryset=Team.objects.all(),
        required=False,
        allow_null=True,  # type: ignore[arg-type]
    )
    project = s.SlugRelatedField(
        "name",
        queryset=Project.objects.all(),
        required=False,
        allow_null=True,  # type: ignore[arg-type]
    )


@extend_schema_serializer(component_name="ManagedKeyInput")
class KeyInput(OwnedInput):
    """What a key may do, and its limits. Teams and projects must exist; they are named."""

    scopes = s.ListField(child=s.ChoiceField(SCOPES), required=False, allow_empty=False)
    model_names = texts_field()
    addresses = texts_field(64)
    residency = texts_field(32)

    class Meta:
        model = ApiKey
        fields = _SET


@extend_schema_serializer(component_name="ManagedKeyBody")
class ManagedKeyBody(KeyInput):
    """A key. Its secret is never shown again."""

    class Meta:
        model = ApiKey
        fields = ("id", "prefix", *_SET, "created_at", "revoked_at", "last_used_at")


@extend_schema_serializer(component_name="MadeKeyBody")
class MadeKeyBody(ManagedKeyBody):
    """A new key, with its secret: this is the only time that it is shown."""

    secret = s.SerializerMethodField()

    class Meta:
        model = ApiKey
        fields = (*ManagedKeyBody.Meta.fields, "secret")

    def get_secret(self, key: ApiKey) -> str:
        """Return the secret of a key that was just made."""
        secret: str = self.context["secret"]
        return secret


@extend_schema_serializer(component_name="RotateKeyInput")
class RotateInput(StrictSerializer):
    """How long the old key stays valid."""

    hours = StrictNumberField(required=False, default=24, min_value=0, max_value=_MOST_HOURS)


@documented
class ManagedKeysViewSet(RowsViewSet):
    """Serves ``/manage/keys``. A key gives no scope that it lacks, but the usual ones."""

    rows: ClassVar = ApiKey
    noun = "key"
    input_class = KeyInput
    output_class = ManagedKeyBody
    related = ("team", "project")

    @extend_schema(
        operation_id="manage_key_create",
        summary="Create a key",
        tags=[TAG],
        request=KeyInput,
        responses={201: MadeKeyBody, 400: ErrorBody, 409: ErrorBody},
    )
    def create(self, request: Request) -> Response:
        """Create a key, and show its secret once."""
        response = super().create(request)
        return _once(response)

    @extend_schema(
        operation_id="manage_key_rotate",
        summary="Rotate a key",
        tags=[TAG],
        request=RotateInput,
        responses={201: MadeKeyBody, 400: ErrorBody, 404: ErrorBody, 409: ErrorBody},
    )
    def rotate(self, request: Request, number: int) -> Response:
        """Create a successor with the same rights, and show its secret once."""
        sent = RotateInput(data=request.data or {})
        sent.is_valid(raise_exception=True)
        key = self.row(number)
        self._may_give(request, set(key.scopes), key.addresses)
        who = self.actor(request)
        try:
            with transaction.atomic():
                made = key_rotate(key, timedelta(hours=sent.validated_data["hours"]))
                audit_changed(key, "replaced", who=who)
                audit_added(made.key, f"the successor of {key.prefix}…", who=who)
        except KeyRevoked as error:
            raise ChangeRefused(str(error)) from None
        return _once(Response(_with_secret(made), status=201))

    @extend_schema(
        operation_id="manage_key_revoke",
        summary="Revoke a key",
        tags=[TAG],
        request=None,
        responses={200: ManagedKeyBody, 404: ErrorBody},
    )
    def revoke(self, request: Request, number: int) -> Response:
        """Revoke a key: every worker refuses it within a second."""
        key = self.row(number)
        with transaction.atomic():
            if key_revoke(key):
                audit_changed(key, "revoked", who=self.actor(request))
        return Response(self.shown(self.row(number)))

    def checked(self, sent: s.Serializer, row: Any) -> dict[str, Any]:
        """Return the fields; refuse scopes that the own key does not have."""
        fields = super().checked(sent, row)
        # Neither a scope that it gets nor one that it has may go beyond the own key's.
        held, addresses = ((), []) if row is None else (row.scopes, row.addresses)
        scopes = {*held, *fields.get("scopes", ())}
        self._may_give(self.request, scopes, fields.get("addresses", addresses))
        return fields

    def save_new(self, row: ApiKey, who: Actor) -> None:
        """Make the key, of the developer whom its user is, and record it without its secret."""
        row.developer = developer_named(row.user)
        self._made = key_make(row)
        audit_added(row, f"scopes: {', '.join(row.scopes)}", who=who)

    def shown(self, row: ApiKey) -> Mapping[str, Any]:
        """Return the key; the one that this request made, with its secret."""
        made: NewKey | None = getattr(self, "_made", None)
        return super().shown(row) if made is None else _with_secret(made)

    def save_changed(self, row: ApiKey, before: Mapping[str, Any], who: Actor) -> None:
        """Save a changed key; with another user, it is no longer the former one's at /me."""
        super().save_changed(row, before, who)
        if row.user != before["user"]:
            keys_assign(developer_named(row.user), row)

    def update(self, row: ApiKey) -> None:
        """Store a changed key."""
        key_change(row)

    @staticmethod
    def _may_give(request: Request, scopes: set[str], addresses: list[str]) -> None:
        """Raise ``PermissionDenied`` where another key could do more than that of the request."""
        client, more = client_of(request), scopes - _ORDINARY
        if missing := more - client.scopes:
            raise PermissionDenied(
                f"Your key lacks {', '.join(sorted(missing))}, so it cannot give that to another."
            )
        own = ApiKey.objects.filter(prefix=client.key).values_list("addresses", flat=True).first()
        if more and addresses_beyond(addresses, own or ()):
            raise PermissionDenied(
                f"Your key is limited to {', '.join(own or ())}, so a key with "
                f"{', '.join(sorted(more))} must be, too: give its addresses."
            )


def _with_secret(made: NewKey) -> Mapping[str, Any]:
    return dict(MadeKeyBody(made.key, context={"secret": made.secret}).data)


def _once(response: Response) -> Response:
    response["Cache-Control"] = "no-store"
    return response
