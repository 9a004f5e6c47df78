"""An asynchronous Django view that passes on with httpx over aiohttp and records nothing."""

from __future__ import annotations

import os

import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from providers.http.transport import ConnectionSettings, make_transport

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="benchmark", ALLOWED_HOSTS=["*"])
_client: list[httpx.AsyncClient] = []


async def view(request: HttpRequest) -> HttpResponse:
    if not _client:
        _client.append(httpx.AsyncClient(transport=make_transport(ConnectionSettings())))
    answer = await _client[0].post(
        os.environ["UPSTREAM"],
        content=request.body,
        headers={"content-type": "application/json"},
    )
    return HttpResponse(answer.content, content_type="application/json")


urlpatterns = [path("v1/chat/completions", view)]
application = get_asgi_application()
