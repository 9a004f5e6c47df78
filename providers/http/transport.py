"""The HTTP client for providers: httpx's responses, sent directly over its transport."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import aiohttp
import httpx
from aiohttp.abc import AbstractStreamWriter
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions
from multidict import CIMultiDict
from yarl import URL

from providers.http.exchange import (
    SMALL_BYTES,
    PreparedPost,
    RawHeaders,
    WholeAnswer,
    exchange,
    joined,
    make_connector,
)
from providers.http.proxies import Proxies, Proxy

_WRITTEN_AT_ONCE = 1024 * 1024
"""Bytes. To write many megabytes at once copies them several times on the event loop."""
_PIECE = 256 * 1024
_USER_AGENT = "ai-cost-optimizer"
CALL_FAILED = (httpx.HTTPError, aiohttp.ClientError)
"""The errors that a call may raise. The transport has no httpx error for an answer that is not
HTTP; it raises aiohttp's error instead."""


# What aiohttp raises before there is a connection. httpx_aiohttp maps every other lost connection
# to httpx.ConnectTimeout too, so only the cause tells them apart.
_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    httpx.UnsupportedProtocol,
)


def was_sent(error: Exception) -> bool:
    """Return whether the provider may have received the request, by an error of ``CALL_FAILED``."""
    return not isinstance(error, _NOT_CONNECTED) and not isinstance(error.__cause__, _NOT_CONNECTED)


# The headers of an answer that the clients of its wire read: about limits, retries, its id.
_CLIENT_HEADERS = frozenset(
    {b"request-id", b"retry-after", b"retry-after-ms", b"x-should-retry", b"x-request-id"}
)
_OF_COMPRESSED = frozenset({b"content-encoding", b"content-length"})
_CLIENT_HEADER_BEGINNINGS = (b"anthropic-", b"x-ratelimit-", b"openai-", b"x-goog-", b"x-gemini-")


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Timeouts for connecting and reading, in seconds, and the most connections (0: any number).

    ``read_timeout`` is the longest silence within an answer that arrives whole: it is silent
    while the model writes. ``stream_read_timeout`` is the longest silence within a stream.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 600.0
    stream_read_timeout: float = 120.0
    max_connections: int = 0

    @property
    def timeout(self) -> httpx.Timeout:
        """The timeouts of a whole answer as an httpx object."""
        return httpx.Timeout(self.read_timeout, connect=self.connect_timeout)

    @property
    def stream_timeout(self) -> httpx.Timeout:
        """The timeouts of a stream as an httpx object."""
        return httpx.Timeout(self.stream_read_timeout, connect=self.connect_timeout)


@dataclass(slots=True, eq=False)
class Target:
    """URL, headers and timeouts of a request, parsed once and used for many requests.

    ``prepared`` is its POST once one was sent, ``None`` if aiohttp's session sends it, as it does
    through a ``proxy``.
    """

    url: URL
    headers: CIMultiDict[str]
    timeout: aiohttp.ClientTimeout
    prepared: PreparedPost | None = None
    is_prepared: bool = False
    proxy: Proxy | None = None

    def prepare(self, session: aiohttp.ClientSession, proxies: Proxies | None) -> None:
        """Set ``proxy`` and ``prepared``, for the process's ``session``."""
        self.proxy = None if proxies is None else proxies.of_url(self.url)
        if self.proxy is None:
            self.prepared = PreparedPost.of(self.url, self.headers, self.timeout, session)
        self.is_prepared = True

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], limits: httpx.Timeout) -> Target:
        """Parse ``url`` and convert the headers and ``limits`` (seconds) for aiohttp."""
        return cls(
            URL(url),
            CIMultiDict({"user-agent": _USER_AGENT, **headers}),
            aiohttp.ClientTimeout(
                connect=limits.pool, sock_connect=limits.connect, sock_read=limits.read
            ),
        )


async def body_of(response: httpx.Response, most: int) -> bytes | None:
    """Return the whole body, or ``None`` if it is larger than ``most`` bytes.

    Raises ``CALL_FAILED``.
    """
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return await joined(aiter(response.stream), most)


class _LargeBody(aiohttp.Payload):
    """A body that is written piece by piece, as the connection takes it, and not copied before."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._size = len(content)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._value.decode(encoding, errors)  # type: ignore[no-any-return]

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body; other tasks run between two pieces."""
        view = memoryview(self._value)
        for start in range(0, len(view), _PIECE):
            await writer.write(view[start : start + _PIECE])
            await asyncio.sleep(0)


class PooledTransport(AiohttpTransport):
    """A transport that sends a :class:`Target` and bytes without an httpx request.

    Building an httpx request and converting it for aiohttp took a third of the time of a call.
    """

    proxies: Proxies | None = None

    async def send(self, method: str, target: Target, content: bytes | None) -> httpx.Response:
        """Return the response with an unread body. Raises ``CALL_FAILED``."""
        with map_aiohttp_exceptions():
            return _unread(await self._request(method, target, content))

    async def fetch(self, target: Target, content: bytes, most: int) -> WholeAnswer | None:
        """POST, and return the whole answer, ``None`` if it has more than ``most`` bytes.

        httpx's response and its stream took a tenth of the time of a call. Raises ``CALL_FAILED``.
        """
        if len(content) <= SMALL_BYTES:
            if not target.is_prepared:
                target.prepare(self._session(), self.proxies)
            if target.prepared is not None:
                try:
                    return await exchange(target.prepared, content, most)
                except Exception:
                    with map_aiohttp_exceptions():
                        raise
        with map_aiohttp_exceptions():
            answer = await self._request("POST", target, content)
            try:
                body = await joined(answer.content.iter_any(), most)
            finally:
                answer.release()  # which closes a connection whose answer was not read to its end
        if body is None:
            return None
        return WholeAnswer(answer.status, answer.headers, answer.raw_headers, body)

    async def _request(
        self, method: str, target: Target, content: bytes | None
    ) -> aiohttp.ClientResponse:
        data: bytes | _LargeBody | None = content
        if content is not None and len(content) > _WRITTEN_AT_ONCE:
            data = _LargeBody(content)
        if self.proxies is not None and not target.is_prepared:
            target.prepare(self._session(), self.proxies)
        proxy = target.proxy
        return await self._session().request(
            method,
            target.url,
            data=data,
            headers=target.headers,
            timeout=target.timeout,
            allow_redirects=False,
            proxy=None if proxy is None else proxy.url,
            proxy_headers=None if proxy is None else proxy.headers,
        )

    def _session(self) -> aiohttp.ClientSession:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        return self.client


def _unread(answer: aiohttp.ClientResponse) -> httpx.Response:
    headers: RawHeaders = answer.raw_headers
    if "content-encoding" in answer.headers:
        # aiohttp decompresses in small steps. httpx expands a chunk at once: 16 kB may be 500 MB.
        headers = [(name, value) for name, value in headers if name.lower() not in _OF_COMPRESSED]
    response = httpx.Response(answer.status, headers=headers, stream=AiohttpResponseStream(answer))
    # Otherwise httpx detects it at each header access. Any bytes are Latin-1.
    response.headers.encoding = "latin-1"
    return response


class HttpClient:
    """Sends requests over pooled connections.

    This class replaces httpx's own client. Redirects, cookies and authentication took a third
    of the time of a call there, and a call to a provider must not use any of them.
    """

    def __init__(self, transport: PooledTransport) -> None:
        self._transport = transport

    async def fetch(self, target: Target, content: bytes, most: int) -> WholeAnswer | None:
        """POST, and return the whole answer, ``None`` if it has more than ``most`` bytes.

        Raises ``CALL_FAILED``.
        """
        return await self._transport.fetch(target, content, most)

    async def post(self, target: Target, content: bytes) -> httpx.Response:
        """Return the response with an unread body; the caller closes it.

        This call and reading the body raise ``CALL_FAILED``.
        """
        return await self._transport.send("POST", target, content)

    async def send(
        self, method: str, target: Target, content: bytes | None = None
    ) -> httpx.Response:
        """Send any request, as :meth:`post` does."""
        return await self._transport.send(method, target, content)

    async def aclose(self) -> None:
        """Close the pooled connections."""
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


def make_transport(
    settings: ConnectionSettings, environment: Mapping[str, str] = os.environ
) -> PooledTransport:
    """Return a pooled transport on aiohttp, which was the fastest engine in our benchmarks.

    It calls through the proxies that the ``environment`` names.
    """

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=make_connector(settings.max_connections),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    transport = PooledTransport(client=session)
    transport.proxies = Proxies.of(environment)
    return transport


def make_client(settings: ConnectionSettings) -> HttpClient:
    """Return the HTTP client; one is enough for the whole process."""
    return HttpClient(make_transport(settings))


def client_headers(headers: RawHeaders) -> dict[str, str]:
    """Return the headers that the clients of the provider's wire read, by lower-case name."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for raw_name, value in headers
        if (name := raw_name.lower()) in _CLIENT_HEADERS
        or name.startswith(_CLIENT_HEADER_BEGINNINGS)
    }
