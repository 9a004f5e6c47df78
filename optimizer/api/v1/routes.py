"""The paths of our own API, without a trailing slash."""

from __future__ import annotations

from typing import Any

from django.urls import path, register_converter
from django.urls.converters import StringConverter
from drf_spectacular.views import SpectacularSwaggerView

from optimizer.api.deferred.routes import urlpatterns as deferred_urlpatterns
from optimizer.api.v1.complete import CompletionViewSet
from optimizer.api.v1.decisions import (
    RecommendationViewSet,
    RoutingDecisionViewSet,
    RoutingMetricsViewSet,
)
from optimizer.api.v1.document import SchemaView
from optimizer.api.v1.feedback import FeedbackViewSet
from optimizer.api.v1.me import MeViewSet, OwnUsageViewSet
from optimizer.api.v1.reports import (
    CacheStatsViewSet,
    HealthViewSet,
    InsightsViewSet,
    ProvidersViewSet,
    QualityStatsViewSet,
    ReadyViewSet,
    StatsViewSet,
    metrics,
)
from optimizer.api.v1.sessions import SessionViewSet

# Not "list": each answer is one object, and the OpenAPI document would make it an array.
_GET: dict[str, Any] = {"get": "retrieve"}
_CREATE: dict[str, Any] = {"post": "create"}


class _AnyText(StringConverter):
    """Matches any text, also with slashes and line breaks, as clients choose their own ids."""

    regex = r"(?s:.+)"


register_converter(_AnyText, "any_text")
# Also under /v1, where clients of other APIs have their base URL.
client_urlpatterns = [
    *deferred_urlpatterns,
    path("me", MeViewSet.as_view(_GET), name="me"),
    path("me/usage", OwnUsageViewSet.as_view(_GET), name="me-usage"),
    path("sessions/<any_text:session_id>", SessionViewSet.as_view(_GET), name="session"),
]
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
    path("health", HealthViewSet.as_view(_GET), name="health"),
    path("ready", ReadyViewSet.as_view(_GET), name="ready"),
    path("metrics", metrics, name="metrics"),
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerView.as_view(url="/schema"), name="docs"),
]
