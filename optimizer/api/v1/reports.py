"""GET /stats, /providers, /cache/stats, /quality/stats and /insights."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from analytics.cache import cache_stats
from analytics.database.replicas import reading_elsewhere
from analytics.quality.evidence import evidence_load
from analytics.quality.feedback import quality_stats
from analytics.quality.insights import learned_insights
from analytics.reports.usage import usage_stats
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.views import ReportViewSet, SyncViewSet, tenant_of
from optimizer.api.v1.baselines import BASELINE, compared_with
from optimizer.api.v1.schema import (
    CacheStatsBody,
    ErrorBody,
    InsightsBody,
    ProvidersBody,
    QualityStatsBody,
    StatsBody,
)
from providers.catalogue import Catalogue
from providers.pricing import PriceBook
from providers.resilience import ResilientCaller


def provider_directory(
    catalogue: Catalogue, prices: PriceBook, caller: ResilientCaller
) -> dict[str, Any]:
    """Return all models of the catalogue, enabled ones first; prices in USD per million tokens."""
    models = []
    for spec in catalogue.models:
        rates = prices.rates(spec.provider, spec.id)
        enabled = caller.serves(spec.provider, spec.id)
        models.append(
            {
                "provider": spec.provider,
                "model": spec.id,
                "aliases": list(spec.aliases),
                "tier": spec.tier,
                "enabled": enabled,
                "input_price": rates.input.base if rates else None,
                "output_price": rates.output.base if rates else None,
                "cache_read_price": rates.cache_read.base if rates and rates.cache_read else None,
                "cache_write_price": rates.cache_write.base
                if rates and rates.cache_write
                else None,
                "capabilities": sorted(spec.capabilities),
                "context_window": spec.context_window,
                "circuit_state": caller.circuit_state(spec.provider) if enabled else None,
            }
        )
    models.sort(key=lambda model: not model["enabled"])
    return {"enabled_providers": sorted(caller.providers), "models": models}


class StatsViewSet(ReportViewSet):
    """Serves ``GET /stats``."""

    @extend_schema(
        operation_id="stats",
        tags=["reports"],
        parameters=[BASELINE],
        responses={200: StatsBody, 400: ErrorBody},
    )
    @reading_elsewhere()
    def retrieve(self, request: Request) -> Response:
        """Return all recorded usage. Without the scope "read": only that of the own team or key."""
        compared = compared_with(request)
        return Response(usage_stats(tenant=tenant_of(request), compared=compared))


class ProvidersViewSet(SyncViewSet):
    """Serves ``GET /providers``."""

    @extend_schema(operation_id="providers", tags=["reports"], responses=ProvidersBody)
    def retrieve(self, request: Request) -> Response:
        """Return providers and models with prices, tiers, capabilities and circuit states."""
        services = self.services
        return Response(provider_directory(services.catalogue, services.prices, services.caller))


class CacheStatsViewSet(ReportViewSet):
    """Serves ``GET /cache/stats``."""

    @extend_schema(operation_id="cache_stats", tags=["reports"], responses=CacheStatsBody)
    @reading_elsewhere()
    def retrieve(self, request: Request) -> Response:
        """Return the size, hits and savings of the response cache."""
        return Response(cache_stats(tenant=tenant_of(request)))


class QualityStatsViewSet(ReportViewSet):
    """Serves ``GET /quality/stats``."""

    @extend_schema(operation_id="quality_stats", tags=["quality"], responses=QualityStatsBody)
    @reading_elsewhere()
    def retrieve(self, request: Request) -> Response:
        """Return the quality of answers according to feedback."""
        return Response(quality_stats(tenant=tenant_of(request)))


class InsightsViewSet(ReportViewSet):
    """Serves ``GET /insights``."""

    @extend_schema(operation_id="insights", tags=["quality"], responses=InsightsBody)
    @reading_elsewhere()
    def retrieve(self, request: Request) -> Response:
        """Return what routing has learned for each kind of prompt."""
        evidence = evidence_load()
        return Response(
            {
                "total_outcomes": sum(record.count for record in evidence.values()),
                "patterns": learned_insights(evidence),
            }
        )
