"""GET /me and /me/usage: what the client's own key may do, has left and has used."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers as s
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.keys import team_of
from analytics.budgets.report import AccountStanding, standings_of
from analytics.database.replicas import reading_elsewhere
from analytics.models import ApiKey, Budget
from analytics.reports.own_usage import MOST_DAYS, Owner, own_usage
from analytics.reports.usage import period_start
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.views import ReportViewSet, client_of
from optimizer.api.v1.schema import ErrorBody
from optimizer.budgets.reservations import Budgets
from optimizer.domain.client import Client


class OwnBudgetBody(s.Serializer):
    """One budget that the client's requests draw from; money is USD."""

    name = s.CharField()
    scope = s.ChoiceField(Budget.Scope.choices)
    period = s.ChoiceField(Budget.Period.choices)
    limit = s.FloatField(allow_null=True)
    spent = s.FloatField()
    held = s.FloatField(help_text="For requests in progress.")
    left = s.FloatField(allow_null=True, help_text="Null without a limit.")
    resets_at = s.DateTimeField(allow_null=True, help_text="Null if it frees money in steps.")


class OwnLimitsBody(s.Serializer):
    """The limits of the client's key; null where there is none."""

    requests_per_minute = s.IntegerField(allow_null=True)
    tokens_per_minute = s.IntegerField(allow_null=True)
    concurrent_requests = s.IntegerField(allow_null=True)
    quality_target = s.FloatField(allow_null=True)
    cost_cap = s.FloatField(allow_null=True, help_text="USD for one request.")


class MeBody(s.Serializer):
    """Who the client is, what it may do and what it has left."""

    key = s.CharField(help_text="Beginning of the key; empty where none is required.")
    name = s.CharField()
    user = s.CharField()
    team = s.CharField()
    project = s.CharField()
    tags = s.ListField(child=s.CharField())
    scopes = s.ListField(child=s.CharField())
    models = s.ListField(child=s.CharField(), help_text="Models it may use; empty: all.")
    limits = OwnLimitsBody()
    expires_at = s.DateTimeField(allow_null=True)
    budgets = OwnBudgetBody(many=True)


class UsageSumsBody(s.Serializer):
    """Sums of requests; money is USD."""

    requests = s.IntegerField()
    failed = s.IntegerField()
    cache_hits = s.IntegerField()
    unpriced = s.IntegerField(help_text="Requests whose cost is not known.")
    tokens_in = s.IntegerField()
    tokens_out = s.IntegerField()
    cost = s.FloatField()
    savings = s.FloatField()


class UsageOfDayBody(UsageSumsBody):
    """The sums of one day, UTC."""

    day = s.DateField()


class UsageOfModelBody(UsageSumsBody):
    """The sums of one model."""

    provider = s.CharField()
    model = s.CharField()


class OwnUsageBody(s.Serializer):
    """What the client used, with its latest sessions and requests."""

    since = s.DateTimeField()
    total = UsageSumsBody()
    by_day = UsageOfDayBody(many=True)
    by_model = UsageOfModelBody(many=True)
    sessions = s.ListField(child=s.DictField())
    requests = s.ListField(child=s.DictField())


class MeViewSet(ReportViewSet):
    """Serves ``GET /me``."""

    @extend_schema(operation_id="me", tags=["client"], responses={200: MeBody, 401: ErrorBody})
    def retrieve(self, request: Request) -> Response:
        """Return what the key of this request may do, its limits, and what its budgets leave."""
        client = client_of(request)
        key = ApiKey.objects.filter(prefix=client.key).first() if client.key else None
        return Response(
            {
                "key": client.key,
                "name": key.name if key else "",
                "user": client.user,
                "team": team_of(client.tenant),
                "project": client.project,
                "tags": list(client.tags),
                "scopes": sorted(client.scopes),
                "models": list(client.models),
                "limits": {
                    str(name): getattr(client, str(name)) for name in OwnLimitsBody().fields
                },
                "expires_at": key.expires_at if key else None,
                "budgets": [
                    _budget(standing) for standing in standings_of(Budgets.payer_of_client(client))
                ],
            }
        )


class OwnUsageViewSet(ReportViewSet):
    """Serves ``GET /me/usage``."""

    @extend_schema(
        operation_id="me_usage",
        tags=["client"],
        parameters=[
            OpenApiParameter(
                "days", int, description=f"Days up to now, 1 to {MOST_DAYS}; 30 by default."
            )
        ],
        responses={200: OwnUsageBody, 400: ErrorBody, 401: ErrorBody},
    )
    @reading_elsewhere()
    def retrieve(self, request: Request) -> Response:
        """Return what the client used: of its user if the key has one, else of the key.

        A key counts together with those that it replaced.
        """
        since = period_start(_days(request))
        return Response(own_usage(_owner(client_of(request)), since))


def _owner(client: Client) -> Owner:
    return Owner(client.tenant, client.key, client.user)


def _days(request: Request) -> int:
    text = request.query_params.get("days", "30")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_DAYS):
        raise ValidationError({"days": f"Must be a whole number from 1 to {MOST_DAYS}."})
    return int(text)


def _budget(standing: AccountStanding) -> dict[str, Any]:
    budget = standing.budget
    return {
        "name": budget.name,
        "scope": budget.scope,
        "period": budget.period,
        "limit": budget.limit,
        "spent": standing.spent,
        "held": standing.held,
        "left": standing.left,
        "resets_at": standing.ends_at,
    }
