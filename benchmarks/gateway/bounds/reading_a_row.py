"""An asynchronous Django view that reads one row of the service's own database."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

settings.ROOT_URLCONF = __name__
settings.MIDDLEWARE = []
application = get_asgi_application()

from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from analytics.models import CachedResponse  # noqa: E402


async def view(request: HttpRequest) -> JsonResponse:
    entry = await CachedResponse.objects.order_by("pk").afirst()
    return JsonResponse({"response": entry.response if entry else None})


urlpatterns = [path("v1/chat/completions", view)]
