"""The base of views that run on the event loop."""

from __future__ import annotations

from adrf.viewsets import ViewSet


class AsyncViewSet(ViewSet):
    """Says once what adrf would otherwise find out by looking at every method, each request."""

    view_is_async = True
