"""The reference: a bare asynchronous Django view that answers a small JSON object."""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="benchmark", ALLOWED_HOSTS=["*"])


async def view(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"read": len(request.body)})


urlpatterns = [path("complete", view)]
application = get_asgi_application()
