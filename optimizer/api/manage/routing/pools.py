"""Pools of keys, deployments and regions: what their members do now. They are set up in a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.manage.views import TAG, ManageViewSet
from optimizer.api.v1.schema import ErrorBody
from optimizer.wiring.operation.errors import UnknownTarget
from providers.pools.pool import MemberPool


class PoolMemberBody(s.Serializer):
    """A member of a pool as the worker that answers sees it. Its key is never shown."""

    name = s.CharField()
    weight = s.FloatField()
    regions = s.ListField(child=s.CharField())
    committed = s.BooleanField(help_text="Capacity that is paid ahead, and filled first.")
    most_at_once = s.IntegerField(allow_null=True, help_text="Of each worker; null for any number.")
    busy = s.IntegerField(help_text="Calls in progress.")
    answered = s.IntegerField()
    failed = s.IntegerField()
    share = s.FloatField(help_text="Its share of the answers, 0-1.")
    spared = s.FloatField(help_text="Seconds for which it is not called; 0 if it is.")
    spared_models = s.DictField(child=s.FloatField(), help_text="The same by model.")
    last_error = s.CharField()
    seconds = s.FloatField(allow_null=True, help_text="For an answer of usual length.")
    left = s.FloatField(allow_null=True, help_text="The least share of its rate limits, 0-1.")


class ManagedPoolBody(s.Serializer):
    """A pool: the provider whose models its members serve, and how it chooses."""

    provider = s.CharField()
    choose = s.CharField(help_text="weights, least_busy, fastest or most_left.")
    members = PoolMemberBody(many=True)


@extend_schema_serializer(many=False)
class ManagedPoolList(s.Serializer):
    """All pools."""

    data = ManagedPoolBody(many=True)  # type: ignore[assignment]


class ManagedPoolsViewSet(ManageViewSet):
    """Serves ``/manage/pools``."""

    @extend_schema(
        operation_id="manage_pools_list",
        summary="List pools",
        tags=[TAG],
        responses=ManagedPoolList,
    )
    def list(self, request: Request) -> Response:
        """Return all pools with the state of their members in the worker that answers."""
        return Response({"data": list(map(_shown, self.services.caller.pools.values()))})

    @extend_schema(
        operation_id="manage_pools_show",
        summary="Show a pool",
        tags=[TAG],
        responses={200: ManagedPoolBody, 404: ErrorBody},
    )
    def retrieve(self, request: Request, provider: str) -> Response:
        """Return the pool of one provider."""
        pool = self.services.caller.pools.get(provider)
        if pool is None:
            raise UnknownTarget(f"There is no pool of {provider}.")
        return Response(_shown(pool))


def _shown(pool: MemberPool) -> dict[str, Any]:
    return {
        "provider": pool.provider,
        "choose": pool.choice,
        "members": list(map(asdict, pool.states())),
    }
