"""GET /schema: the OpenAPI document."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request


class SchemaView(SpectacularAPIView):
    """Serves the OpenAPI document, which is the same for all, in each format.

    It is made once: that keeps a thread busy for a tenth of a second, and anyone may ask for it.
    """

    _documents: ClassVar[dict[str, tuple[str | bytes, dict[str, str]]]] = {}

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the document in the format that the client accepts."""
        renderer = request.accepted_renderer
        kind = renderer.media_type
        if kind not in self._documents:
            made = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
            headers = {
                "Content-Type": f"{kind}; charset=utf-8",
                "Content-Disposition": made["Content-Disposition"],
            }
            self._documents[kind] = renderer.render(made.data, kind, {}), headers
        document, headers = self._documents[kind]
        return HttpResponse(document, headers=headers)
