"""The paths of :mod:`optimizer.api.v1.health`, apart from those that need the reports."""

from __future__ import annotations

from django.urls import path

from optimizer.api.v1.health import HealthViewSet, ReadyViewSet, metrics

urlpatterns = [
    path("health", HealthViewSet.as_view({"get": "retrieve"}), name="health"),
    path("ready", ReadyViewSet.as_view({"get": "retrieve"}), name="ready"),
    path("metrics", metrics, name="metrics"),
]
