"""Prices that operators set for certain days."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers as s
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.models import PriceOverride
from analytics.models.prices import PRICE_UNITS
from analytics.prices import override_save
from optimizer.api.manage.views import (
    TAG,
    ChangeRefused,
    RowsViewSet,
    StrictModelSerializer,
    documented,
)
from optimizer.api.v1.schema import ErrorBody

_SET = ("provider", "model", *PRICE_UNITS, "valid_from", "valid_until", "note")


@extend_schema_serializer(component_name="ManagedPriceInput")
class PriceInput(StrictModelSerializer):
    """A model's price on certain days, USD per million tokens."""

    class Meta:
        model = PriceOverride
        fields = _SET


class ManagedPriceBody(s.ModelSerializer):
    """A price that an operator has set, USD per million tokens."""

    class Meta:
        model = PriceOverride
        fields = ("id", *_SET, "created_at")


@documented
class ManagedPricesViewSet(RowsViewSet):
    """Serves ``/manage/prices``. A price that is valid already can only be ended."""

    rows: ClassVar = PriceOverride
    noun = "price"
    input_class = PriceInput
    output_class = ManagedPriceBody
    fixed = ("provider", "model")

    @extend_schema(
        operation_id="manage_price_delete",
        summary="Delete a price",
        tags=[TAG],
        responses={204: None, 404: ErrorBody, 409: ErrorBody},
    )
    def destroy(self, request: Request, number: int) -> Response:
        """Delete a price that is not valid yet."""
        row = self.row(number)
        if row.has_begun:
            raise ChangeRefused(
                "The price already applies: requests were priced by it. End it instead."
            )
        self.remove(row, self.actor(request))
        self.apply()
        return Response(status=204)

    def checked(self, sent: s.Serializer, row: Any) -> dict[str, Any]:
        """Return the fields with the model's id in place of an alias."""
        fields = super().checked(sent, row)
        if row is None:
            spec = self.services.catalogue.find(fields["provider"], fields["model"])
            if spec is None:
                name = f"{fields['provider']}/{fields['model']}"
                raise ValidationError({"model": [f"The catalogue has no {name}."]})
            fields["model"] = spec.id
        return fields

    def insert(self, row: PriceOverride) -> None:
        """Store a new price, one after the other."""
        override_save(row)

    def update(self, row: PriceOverride) -> None:
        """Store a changed price, one after the other."""
        override_save(row)

    def apply(self) -> None:
        """Use the price on this worker at once."""
        self.services.price_service.refresh()
