"""How providers are reached: httpx's requests and responses, straight over its transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions
from multidict import CIMultiDict
from yarl import URL

_USER_AGENT = "ai-cost-optimizer"
CALL_FAILED = (httpx.HTTPError, aiohttp.ClientError)
"""What a call may raise. The second is what the transport has no word of httpx's for: an answer
that is no HTTP."""


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
    """Where to post, with which headers, how long to wait: read and checked once, however
    often it is used.
    """

    url: URL
    headers: CIMultiDict[str]
    timeout: aiohttp.ClientTimeout

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], limits: httpx.Timeout) -> Target:
        return cls(
            URL(url),
            CIMultiDict({"user-agent": _USER_AGENT, **headers}),
            aiohttp.ClientTimeout(
                connect=limits.pool, sock_connect=limits.connect, sock_read=limits.read
            ),
        )


async def body_of(response: httpx.Response, most: int) -> bytes | None:
    """All of the body, ``None`` if it is larger than ``most`` bytes.

    Raises ``CALL_FAILED``.
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


class PooledTransport(AiohttpTransport):
    """Also takes what is ready to be sent: that a request is made of it first, and taken apart
    again for aiohttp, took a third of the time of a call.
    """

    async def post(self, target: Target, content: bytes) -> httpx.Response:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        with map_aiohttp_exceptions():
            answer = await self.client.request(
                "POST",
                target.url,
                data=content,
                headers=target.headers,
                timeout=target.timeout,
                allow_redirects=False,
            )
        response = httpx.Response(
            answer.status, headers=answer.raw_headers, stream=AiohttpResponseStream(answer)
        )
        response.headers.encoding = "utf-8"  # else looked for with each look at a header
        return response


class HttpClient:
    """Sends POSTs over pooled connections.

    Not httpx's own client: its redirects, cookies and authentication, none of which a
    call to a provider may use, took a third of the time of a call.
    """

    def __init__(self, transport: PooledTransport) -> None:
        self._transport = transport

    async def post(self, target: Target, content: bytes) -> httpx.Response:
        """The response, its body unread; to be closed. This and reading it raise
        ``CALL_FAILED``.
        """
        return await self._transport.post(target, content)

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


def make_transport(settings: ConnectionSettings) -> PooledTransport:
    """Pooled, on the engine that measured fastest."""

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.max_connections, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    return PooledTransport(client=session)


def make_client(settings: ConnectionSettings) -> HttpClient:
    """One for the process."""
    return HttpClient(make_transport(settings))
