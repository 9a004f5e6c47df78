"""The paths of deferred requests."""

from __future__ import annotations

from django.urls import path

from optimizer.api.deferred.views import DeferredViewSet

urlpatterns = [
    path(
        "deferred/<str:request_id>",
        DeferredViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="deferred",
    ),
    path(
        "deferred/<str:request_id>/result",
        DeferredViewSet.as_view({"get": "result"}),
        name="deferred-result",
    ),
    path(
        "deferred/<str:request_id>/events",
        DeferredViewSet.as_view({"get": "events"}),
        name="deferred-events",
    ),
    path(
        "deferred/<str:request_id>/cancel",
        DeferredViewSet.as_view({"post": "cancel"}),
        name="deferred-cancel",
    ),
]
