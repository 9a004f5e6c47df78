"""Models of the catalogue: which are on, and switching them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.http.fields import StrictBooleanField, StrictSerializer
from optimizer.api.manage.views import REFUSALS, TAG, ManageViewSet
from optimizer.api.v1.schema import ErrorBody
from optimizer.wiring.operation.errors import UnknownTarget
from providers.catalogue import ModelSpec
from routing.models import ModelRef


class ManagedModelBody(s.Serializer):
    """A model of the catalogue; prices are USD per million tokens."""

    provider = s.CharField()
    model = s.CharField()
    kind = s.CharField(help_text="chat, embedding, image, transcription, speech, …")
    tier = s.CharField()
    on = s.BooleanField(help_text="False if an operator has switched it off.")
    configured = s.BooleanField(help_text="Whether its provider is configured.")
    context_window = s.IntegerField(help_text="tokens")
    input_price = s.FloatField(allow_null=True)
    output_price = s.FloatField(allow_null=True)
    unit_prices = s.ListField(
        child=s.CharField(), help_text="Prices by other units, such as $0.36 per hour of audio."
    )
    price_source = s.CharField()


class ManagedModelList(s.Serializer):
    """All models of the catalogue."""

    data = ManagedModelBody(many=True)  # type: ignore[assignment]


class ManagedModelsViewSet(ManageViewSet):
    """Serves ``/manage/models``."""

    @extend_schema_serializer(component_name="ModelSwitchInput")
    class InputSerializer(StrictSerializer):
        """Whether the model may be called."""

        on = StrictBooleanField()

    @extend_schema(
        operation_id="manage_models_list",
        summary="List models",
        tags=[TAG],
        responses=ManagedModelList,
    )
    def list(self, request: Request) -> Response:
        """Return all models of the catalogue in its order."""
        services = self.services
        services.operation.refresh()
        catalogue = services.catalogue
        models = [self._shown(spec) for spec in catalogue.all_models]
        return Response({"data": models})

    @extend_schema(
        operation_id="manage_models_show",
        summary="Show a model",
        tags=[TAG],
        responses={200: ManagedModelBody, 404: ErrorBody},
    )
    def retrieve(self, request: Request, provider: str, model: str) -> Response:
        """Return one model, by its id or an alias."""
        self.services.operation.refresh()
        return Response(self._shown(self._spec(provider, model)))

    @extend_schema(
        operation_id="manage_models_change",
        summary="Switch a model off or on",
        tags=[TAG],
        request=InputSerializer,
        responses={200: ManagedModelBody, **REFUSALS},
    )
    def partial_update(self, request: Request, provider: str, model: str) -> Response:
        """Switch a model off or on. Routing, fallbacks and named requests see it in a second."""
        sent = self.InputSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        off, who = not sent.validated_data["on"], self.actor(request)
        self.services.operation.switch(ModelRef(provider, model), off=off, who=who)
        return Response(self._shown(self._spec(provider, model)))

    def _spec(self, provider: str, model: str) -> ModelSpec:
        spec = self.services.catalogue.find(provider, model)
        if spec is None:
            raise UnknownTarget(f"The catalogue has no model {provider}/{model}.")
        return spec

    def _shown(self, spec: ModelSpec) -> dict[str, Any]:
        services = self.services
        rates = services.prices.rates(spec.provider, spec.id)
        units = rates.fees.units if rates is not None else None
        by_tokens = units is None or units.tokens
        return {
            "provider": spec.provider,
            "model": spec.id,
            "kind": spec.kind,
            "tier": spec.tier,
            "on": not services.caller.is_off(spec.provider, spec.id),
            "configured": spec.provider in services.caller.providers,
            "context_window": spec.context_window,
            "input_price": rates.input.base if rates and by_tokens else None,
            "output_price": rates.output.base if rates and by_tokens else None,
            "unit_prices": units.in_words() if units else [],
            "price_source": services.prices.source(spec.provider, spec.id),
        }
