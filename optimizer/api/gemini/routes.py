"""The paths of Gemini's API; /v1 has its methods beside the paths of OpenAI and Anthropic."""

from __future__ import annotations

from django.urls import path

from optimizer.api.gemini import views
from optimizer.api.gemini.method_routes import urlpatterns as method_urlpatterns

urlpatterns = [
    *method_urlpatterns,
    path("models", views.GeminiModelsViewSet.as_view({"get": "retrieve"}), name="gemini-models"),
    path(
        "models/<gemini_model:model>",
        views.GeminiModelsViewSet.as_view({"get": "describe"}),
        name="gemini-model",
    ),
]
