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


@dataclass(frozen=True, slots=True)
class Target:
    """Where to post, with which headers: read and checked once, however often it is used."""

    url: httpx.URL
    headers: httpx.Headers

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str]) -> Target:
        parsed = httpx.URL(url)
        sent = httpx.Headers({"user-agent": _USER_AGENT, **headers}, encoding="utf-8")
        # As httpx would set it, each time.
        sent["host"] = parsed.netloc.decode("ascii")
        return cls(parsed, sent)


async def body_of(response: httpx.Response, most: int) -> bytes | None:
    """All of the body, ``None`` if it is larger than ``most`` bytes.

    Raises :class:`httpx.HTTPError`.
    """
    coded = response.headers.get("content-encoding")
    assert isinstance(response.stream, httpx.AsyncByteStream)
    # What is not compressed needs none of httpx's decoders.
    source = response.aiter_bytes() if coded else response.stream
    chunks: list[bytes] = []
    size = 0
    async for chunk in source:
        size += len(chunk)
        if size > most:
            return None
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


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
        target: Target,
        content: bytes,
        limits: httpx.Timeout,
    ) -> AsyncIterator[httpx.Response]:
        """The response, its body unread. Raises :class:`httpx.HTTPError`."""
        request = httpx.Request(
            "POST",
            target.url,
            content=content,
            headers=target.headers,
            extensions={"timeout": limits.as_dict()},
        )
        try:
            response = await self._transport.handle_async_request(request)
            response.request = request
            response.headers.encoding = "utf-8"  # else looked for with each look at a header
            try:
                yield response
            finally:
                await response.aclose()
        except aiohttp.ClientError as error:
            # What the transport has no word of httpx's for: an answer that is no HTTP.
            raise httpx.RemoteProtocolError(type(error).__name__, request=request) from error

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
