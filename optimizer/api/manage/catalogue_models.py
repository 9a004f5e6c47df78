"""Models of the catalogue: switching them off, changing what they can do, and adding others."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.http.fields import (
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    TrimmedTextField,
)
from optimizer.api.manage.views import REFUSALS, TAG, ManageViewSet, require_changes
from optimizer.api.v1.schema import ErrorBody
from optimizer.wiring.operation.catalogue_models import ModelStanding
from providers.catalogue import TIERS, TOKEN_KINDS
from providers.features import OF_MODELS
from routing.models import ModelRef

_MOST_TEXTS = 60


class ManagedModelBody(s.Serializer):
    """A model; prices are USD per million tokens."""

    provider = s.CharField()
    model = s.CharField()
    kind = s.CharField(help_text="chat, embedding, image, transcription, speech, …")
    tier = s.CharField()
    on = s.BooleanField(help_text="False if an operator has switched it off.")
    configured = s.BooleanField(help_text="Whether its provider is configured.")
    context_window = s.IntegerField(help_text="tokens")
    max_output = s.IntegerField(allow_null=True, help_text="tokens")
    capabilities = s.ListField(child=s.CharField(), help_text=", ".join(OF_MODELS))
    lacks = s.ListField(child=s.CharField(), help_text="Features of its wire that it lacks.")
    aliases = s.ListField(child=s.CharField())
    able_as = s.CharField(help_text="The model whose published results it has; empty: its own.")
    added = s.BooleanField(help_text="Whether an operator has added it.")
    set_here = s.ListField(child=s.CharField(), help_text="Fields that operators have set.")
    set_by = s.CharField(help_text="CATALOGUE_FILE if that describes the model and wins, or empty.")
    input_price = s.FloatField(allow_null=True)
    output_price = s.FloatField(allow_null=True)
    unit_prices = s.ListField(
        child=s.CharField(), help_text="Prices by other units, such as $0.36 per hour of audio."
    )
    price_source = s.CharField()


@extend_schema_serializer(many=False)
class ManagedModelList(s.Serializer):
    """All models of the catalogue."""

    data = ManagedModelBody(many=True)  # type: ignore[assignment]


class _TextsField(s.ListField):
    """Distinct texts; ``null`` is what the catalogue has."""

    def __init__(self, most_characters: int = 128) -> None:
        text = TrimmedTextField(max_length=most_characters)
        super().__init__(child=text, required=False, allow_null=True, max_length=_MOST_TEXTS)

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the texts, each once."""
        return list(dict.fromkeys(super().to_internal_value(data)))


def _tokens() -> StrictIntegerField:
    return StrictIntegerField(required=False, allow_null=True, min_value=1)


def _text(most: int) -> TrimmedTextField:
    return TrimmedTextField(required=False, allow_blank=True, allow_null=True, max_length=most)


class _ModelFields(StrictSerializer):
    tier = s.ChoiceField(TIERS, required=False, allow_null=True)
    context_window = _tokens()
    max_output = _tokens()
    capabilities = _TextsField()
    lacks = _TextsField()
    aliases = _TextsField()
    able_as = _text(128)
    note = _text(200)


class ManagedModelsViewSet(ManageViewSet):
    """Serves ``/manage/models``."""

    @extend_schema_serializer(component_name="ModelChangeInput")
    class InputSerializer(_ModelFields):
        """What changes; null is what the catalogue has."""

        on = StrictBooleanField(required=False)

    @extend_schema_serializer(component_name="NewModelInput")
    class NewSerializer(_ModelFields):
        """A new model of a provider. A chat model needs a tier."""

        provider = TrimmedTextField(max_length=64)
        model = TrimmedTextField(max_length=128)
        kind = s.ChoiceField(TOKEN_KINDS, default="chat")
        context_window = StrictIntegerField(min_value=1, help_text="tokens")

    @extend_schema(
        operation_id="manage_models_list",
        summary="List models",
        tags=[TAG],
        responses=ManagedModelList,
    )
    def list(self, request: Request) -> Response:
        """Return all models in the order in which they are tried."""
        operation = self.services.operation
        operation.refresh()
        return Response({"data": list(map(self._shown, operation.models.standings()))})

    @extend_schema(
        operation_id="manage_models_show",
        summary="Show a model",
        tags=[TAG],
        responses={200: ManagedModelBody, 404: ErrorBody},
    )
    def retrieve(self, request: Request, provider: str, model: str) -> Response:
        """Return one model, by its id or an alias."""
        self.services.operation.refresh()
        return Response(self._body(ModelRef(provider, model)))

    @extend_schema(
        operation_id="manage_models_create",
        summary="Add a model",
        tags=[TAG],
        request=NewSerializer,
        responses={201: ManagedModelBody, 400: ErrorBody, 409: ErrorBody},
    )
    def create(self, request: Request) -> Response:
        """Add a model of a provider of the catalogue. It is routed to within a second."""
        sent = self.NewSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        fields = dict(sent.validated_data)
        ref = ModelRef(fields.pop("provider"), fields.pop("model"))
        self.services.operation.models.add(ref, fields, who=self.actor(request))
        return Response(self._body(ref), status=201)

    @extend_schema(
        operation_id="manage_models_change",
        summary="Change a model",
        tags=[TAG],
        request=InputSerializer,
        responses={200: ManagedModelBody, **REFUSALS},
    )
    def partial_update(self, request: Request, provider: str, model: str) -> Response:
        """Switch a model off or on, or change its tier, limits and features: all or nothing.

        Routing, fallbacks and named requests see it within a second.
        """
        require_changes(request)
        sent = self.InputSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        fields, who, ref = dict(sent.validated_data), self.actor(request), ModelRef(provider, model)
        on, operation = fields.pop("on", None), self.services.operation
        with transaction.atomic():
            if fields:
                operation.models.change(ref, fields, who=who)
            if on is not None:
                operation.switch(ref, off=not on, who=who)
        return Response(self._body(ref))

    @extend_schema(
        operation_id="manage_models_reset",
        summary="Forget what is set of a model",
        tags=[TAG],
        responses={204: None, 404: ErrorBody},
    )
    def destroy(self, request: Request, provider: str, model: str) -> Response:
        """Return a model to what the catalogue has; one that was added here is gone."""
        ref = ModelRef(provider, model)
        self.services.operation.models.reset(ref, who=self.actor(request))
        return Response(status=204)

    def _body(self, ref: ModelRef) -> dict[str, Any]:
        return self._shown(self.services.operation.models.standing(ref))

    def _shown(self, standing: ModelStanding) -> dict[str, Any]:
        services, spec = self.services, standing.spec
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
            "max_output": spec.max_output,
            "capabilities": sorted(spec.capabilities),
            "lacks": sorted(spec.lacks),
            "aliases": list(spec.aliases),
            "able_as": spec.able_as,
            "added": standing.added,
            "set_here": list(standing.set_here),
            "set_by": standing.set_by,
            "input_price": rates.input.base if rates and by_tokens else None,
            "output_price": rates.output.base if rates and by_tokens else None,
            "unit_prices": units.in_words() if units else [],
            "price_source": services.prices.source(spec.provider, spec.id),
        }
