"""The query parameter of reports that names the baseline of their savings."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from analytics.reports.compared import ComparedWith
from optimizer.pricing.baselines import UnknownBaseline
from optimizer.wiring.build import get_services

BASELINE = OpenApiParameter(
    "baseline",
    {"type": "string", "minLength": 1, "default": "recorded"},
    description=(
        "What savings are compared with: `recorded`, the baseline that was recorded with each "
        "request; `complexity`, complexity's choice; `requested`, the model that the client asked "
        "for; or a model, as if it had answered every request."
    ),
)


def compared_with(request: Request) -> ComparedWith:
    """Return the baseline that the query names, by default the recorded one.

    Raises ``ValidationError`` if there is none of this name.
    """
    try:
        return get_services().compared_with(request.query_params.get("baseline", "recorded"))
    except UnknownBaseline as error:
        raise ValidationError({"baseline": [str(error)]}) from None
