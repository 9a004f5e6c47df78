"""The paths of the methods of Gemini's API, such as ``models/NAME:generateContent``."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import PathConverter

from optimizer.api.gemini import views
from optimizer.api.gemini.paths import METHODS


class _ModelPath(PathConverter):
    """A model's name, up to the method after the last colon."""

    regex = ".+"


register_converter(_ModelPath, "gemini_model")

_VIEWS = dict(
    zip(
        METHODS,
        (
            views.GenerateViewSet,
            views.StreamGenerateViewSet,
            views.CountContentTokensViewSet,
            views.EmbedViewSet,
            views.BatchEmbedViewSet,
        ),
        strict=True,
    )
)

urlpatterns = [
    path(
        f"{resource}/<gemini_model:model>:{method}",
        view.as_view({"post": "create"}),
        name=f"gemini-{method}" if resource == "models" else f"gemini-tuned-{method}",
    )
    for resource in ("models", "tunedModels")
    for method, view in _VIEWS.items()
]
