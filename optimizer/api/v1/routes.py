"""The paths of our own API, without a trailing slash."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.views import SpectacularSwaggerView

from optimizer.api.v1.client_routes import urlpatterns as client_urlpatterns
from optimizer.api.v1.complete import CompletionViewSet
from optimizer.api.v1.decisions import (
    RecommendationViewSet,
    RoutingDecisionViewSet,
    RoutingMetricsViewSet,
)
from optimizer.api.v1.document import SchemaView
from optimizer.api.v1.feedback import FeedbackViewSet
from optimizer.api.v1.reports import (
    CacheStatsViewSet,
    InsightsViewSet,
    ProvidersViewSet,
    QualityStatsViewSet,
    StatsViewSet,
)

# Not "list": each answer is one object, and the OpenAPI document would make it an array.
_GET: dict[str, Any] = {"get": "retrieve"}
_CREATE: dict[str, Any] = {"post": "create"}

urlpatterns = [
    *client_urlpatterns,
    path("complete", CompletionViewSet.as_view(_CREATE), name="complete"),
    path("recommendation", RecommendationViewSet.as_view(_GET), name="recommendation"),
    path("routing/decision", RoutingDecisionViewSet.as_view(_GET), name="routing-decision"),
    path("routing/metrics", RoutingMetricsViewSet.as_view(_GET), name="routing-metrics"),
    path("stats", StatsViewSet.as_view(_GET), name="stats"),
    path("providers", ProvidersViewSet.as_view(_GET), name="providers"),
    path("cache/stats", CacheStatsViewSet.as_view(_GET), name="cache-stats"),
    path("feedback", FeedbackViewSet.as_view(_CREATE), name="feedback"),
    path("quality/stats", QualityStatsViewSet.as_view(_GET), name="quality-stats"),
    path("insights", InsightsViewSet.as_view(_GET), name="insights"),
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerView.as_view(url="/schema"), name="docs"),
]
