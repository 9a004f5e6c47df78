"""Providers: their state, their stored keys, and a test of each."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.http.fields import StrictSerializer, StrictTextField
from optimizer.api.http.views import AsyncViewSet, client_of
from optimizer.api.manage.views import REFUSALS, TAG, ManageViewSet
from optimizer.api.v1.schema import ErrorBody
from optimizer.lab.connection_test import NotConfigured
from optimizer.wiring.operation.providers import ProviderStanding


class StoredKeyBody(s.Serializer):
    """A stored key of a provider. Its secret is never shown."""

    id = s.IntegerField()
    last_four = s.CharField(help_text="The end of the secret; empty for short ones.")
    note = s.CharField()
    created_at = s.DateTimeField()
    in_use = s.BooleanField()
    why_unused = s.CharField()


class ManagedProviderBody(s.Serializer):
    """A provider of the catalogue, and where its keys come from."""

    name = s.CharField()
    configured = s.BooleanField()
    circuit = s.CharField(help_text="closed, open or half_open; empty if it is not configured.")
    takes_keys = s.BooleanField(help_text="Whether a stored key configures it.")
    set_by = s.CharField(
        help_text="The variable of the environment that sets its keys and wins; empty if none."
    )
    variables = s.ListField(child=s.CharField(), help_text="Variables that can configure it.")
    keys = StoredKeyBody(many=True)


@extend_schema_serializer(many=False)
class ManagedProviderList(s.Serializer):
    """All providers."""

    data = ManagedProviderBody(many=True)  # type: ignore[assignment]


class ConnectionBody(s.Serializer):
    """The result of a connection test."""

    works = s.BooleanField()
    words = s.CharField()
    model = s.CharField()
    took_ms = s.FloatField()
    cost = s.FloatField(allow_null=True, help_text="USD.")
    request_id = s.CharField()


class ManagedProvidersViewSet(ManageViewSet):
    """Serves ``/manage/providers``."""

    @extend_schema(
        operation_id="manage_providers_list",
        summary="List providers",
        tags=[TAG],
        responses=ManagedProviderList,
    )
    def list(self, request: Request) -> Response:
        """Return all providers, configured ones first."""
        return Response({"data": list(map(_shown, self.services.operation.standings()))})

    @extend_schema(
        operation_id="manage_providers_show",
        summary="Show a provider",
        tags=[TAG],
        responses={200: ManagedProviderBody, 404: ErrorBody},
    )
    def retrieve(self, request: Request, name: str) -> Response:
        """Return one provider."""
        return Response(_shown(self.services.operation.standing(name)))


class ProviderKeysViewSet(ManageViewSet):
    """Serves ``/manage/providers/{name}/keys``."""

    @extend_schema_serializer(component_name="ProviderKeyInput")
    class InputSerializer(StrictSerializer):
        """A new key of a provider."""

        secret = StrictTextField(max_length=4096, help_text="The key. It is never shown again.")
        note = StrictTextField(required=False, allow_blank=True, max_length=100, default="")

    @extend_schema(
        operation_id="manage_provider_key_create",
        summary="Store a key of a provider",
        tags=[TAG],
        request=InputSerializer,
        responses={201: ManagedProviderBody, **REFUSALS},
    )
    def create(self, request: Request, name: str) -> Response:
        """Store a key. It serves on all workers within a second, after those stored before."""
        sent = self.InputSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        operation = self.services.operation
        operation.add_key(name, **sent.validated_data, who=self.actor(request))
        return Response(_shown(operation.standing(name)), status=201)

    @extend_schema(
        operation_id="manage_provider_key_delete",
        summary="Remove a key of a provider",
        tags=[TAG],
        responses={204: None, 404: ErrorBody},
    )
    def destroy(self, request: Request, name: str, number: int) -> Response:
        """Remove a stored key. No worker begins a call with it after a second."""
        self.services.operation.remove_key(name, number, who=self.actor(request))
        return Response(status=204)


class ProviderTestViewSet(AsyncViewSet):
    """Serves ``/manage/providers/{name}/test``."""

    @extend_schema(
        operation_id="manage_provider_test",
        summary="Test a provider",
        tags=[TAG],
        request=None,
        responses={200: ConnectionBody, 404: ErrorBody},
    )
    async def create(self, request: Request, name: str) -> Response:
        """Ask the provider's cheapest model for a few tokens: a request that is charged."""
        services = self.services
        await sync_to_async(services.operation.refresh)()
        client = client_of(request)
        try:
            result = await services.connections.test(name, client.user or client.key)
        except NotConfigured:
            raise NotFound("No provider of this name is configured.") from None
        return Response(
            {
                "works": result.works,
                "words": f"{result.words} {result.hint}".strip(),
                "model": result.model,
                "took_ms": result.took_ms,
                "cost": result.cost,
                "request_id": result.request_id,
            }
        )


def _shown(standing: ProviderStanding) -> dict[str, Any]:
    spec = standing.spec
    named = (*spec.needs, *spec.key_env, spec.base_url_env, *spec.settings.values())
    keys = []
    for key in standing.stored:
        why = standing.unused_because(key)
        keys.append(
            {
                "id": key.pk,
                "last_four": key.last_four,
                "note": key.note,
                "created_at": key.created_at,
                "in_use": not why,
                "why_unused": why,
            }
        )
    return {
        "name": spec.name,
        "configured": standing.configured,
        "circuit": standing.circuit,
        "takes_keys": standing.takes_keys,
        "set_by": standing.set_by,
        "variables": [name for name in dict.fromkeys(named) if name],
        "keys": keys,
    }
