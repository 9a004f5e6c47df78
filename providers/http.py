"""How providers are reached: httpx's requests and responses, straight over its transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

_USER_AGENT = "ai-cost-optimizer"


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Seconds for connecting and reading; the number of pooled connections."""

    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    max_connections: int = 512

    @property
    def timeout(self) -> httpx.Timeout:
        return httpx.Timeout(self.read_timeout, connect=self.connect_timeout)


class HttpClient:
    """Sends POSTs over pooled connections.

    Not httpx's own client: its redirects, cookies and authentication, none of which a
    call to a provider may use, took a third of the time of a call.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    @asynccontextmanager
    async def post(
        self,
        url: httpx.URL,
        content: bytes,
        headers: Mapping[str, str],
        limits: httpx.Timeout,
    ) -> AsyncIterator[httpx.Response]:
        """The response, its body unread. Raises :class:`httpx.HTTPError`."""
        request = httpx.Request(
            "POST",
            url,
            content=content,
            headers={"user-agent": _USER_AGENT, **headers},
            extensions={"timeout": limits.as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def make_transport(settings: ConnectionSettings) -> httpx.AsyncBaseTransport:
    """Pooled, on the engine that measured fastest."""

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.max_connections, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    return AiohttpTransport(client=session)


def make_client(settings: ConnectionSettings) -> HttpClient:
    """One for the process."""
    return HttpClient(make_transport(settings))
