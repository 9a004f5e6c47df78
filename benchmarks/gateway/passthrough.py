"""A reference: an asynchronous Django view that passes a stream on and records nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path

from providers.http.transport import ConnectionSettings, make_transport

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="benchmark", ALLOWED_HOSTS=["*"])
_client: list[httpx.AsyncClient] = []


async def view(request: HttpRequest) -> StreamingHttpResponse:
    if not _client:
        _client.append(httpx.AsyncClient(transport=make_transport(ConnectionSettings())))

    async def passed_on() -> AsyncIterator[bytes]:
        async with _client[0].stream(
            "POST",
            os.environ["UPSTREAM"],
            content=request.body,
            headers={"content-type": "application/json"},
        ) as response:
            async for chunk in response.aiter_bytes():
                yield chunk

    return StreamingHttpResponse(passed_on(), content_type="text/event-stream")


urlpatterns = [path("v1/chat/completions", view)]
application = get_asgi_application()
