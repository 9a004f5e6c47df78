"""The paths of our API for a client's own data.

They are also under /v1, where clients of other APIs have their base URL.
"""

from __future__ import annotations

from typing import Any

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from optimizer.api.deferred.routes import urlpatterns as deferred_urlpatterns
from optimizer.api.v1.me import MeViewSet, OwnUsageViewSet
from optimizer.api.v1.sessions import SessionViewSet

# Not "list": each answer is one object, and the OpenAPI document would make it an array.
_GET: dict[str, Any] = {"get": "retrieve"}


class _AnyText(StringConverter):
    """Matches any text, also with slashes and line breaks, as clients choose their own ids."""

    regex = r"(?s:.+)"


register_converter(_AnyText, "any_text")
urlpatterns = [
    *deferred_urlpatterns,
    path("me", MeViewSet.as_view(_GET), name="me"),
    path("me/usage", OwnUsageViewSet.as_view(_GET), name="me-usage"),
    path("sessions/<any_text:session_id>", SessionViewSet.as_view(_GET), name="session"),
]
