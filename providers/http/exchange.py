"""One POST and its whole answer, on a pooled connection of aiohttp.

aiohttp's session makes a request, a response and a task for each call, for redirects, cookies,
authentication, uploads and traces. A call to a provider has none of them, and they took three
fifths of its time. Its connector, its connections and its parser are used here without them: those
connect, pool, time out and read as they do for every other call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tracing import Trace
from yarl import URL

from providers.values import frozen

RawHeaders = Sequence[tuple[bytes, bytes]]
SMALL_BYTES = 64 * 1024
"""A body up to this size is written at once, with the headers."""
_SWITCHING_PROTOCOLS = 101
_STEPS_TO_A_TUNNEL = 3
"""To the proxy, from there to the provider, and TLS: each may take as long as connecting may."""


class _Connected(ResponseHandler):
    """A connection that is not used again once anything came that no request asked for.

    aiohttp would read it as the answer to the next request (RFC 9112, section 9.2).
    """

    def is_connected(self) -> bool:
        """Return whether the pool may use the connection."""
        return super().is_connected() and not self.should_close


class _Connector(aiohttp.TCPConnector):
    """A connector for which a proxy that opens no tunnel is a connection that failed.

    aiohttp waits for a proxy's answer without a limit of its own, and raises the same for one that
    hangs up as if the request had been sent.
    """

    async def _create_proxy_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        step = timeout.sock_connect
        try:
            async with asyncio.timeout(None if step is None else _STEPS_TO_A_TUNNEL * step):
                return await super()._create_proxy_connection(req, traces, timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, TimeoutError):
            raise
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            reason = OSError(None, f"The proxy opened no tunnel ({type(error).__name__})")
            raise aiohttp.ClientProxyConnectionError(req.connection_key, reason) from error


def make_connector(most: int) -> aiohttp.TCPConnector:
    """Return a pool of at most ``most`` connections (0: any number)."""
    connector = _Connector(limit=most, keepalive_timeout=30)
    # aiohttp has no public place for it; a test sends an answer too many.
    connector._factory = partial(_Connected, loop=asyncio.get_running_loop())  # type: ignore[assignment]
    return connector


@frozen
class WholeAnswer:
    """An answer of which all was read; ``raw_headers`` are its headers as they came."""

    status: int
    headers: Mapping[str, str]
    raw_headers: RawHeaders
    body: bytes


@dataclass(frozen=True, slots=True)
class PreparedPost:
    """What all POSTs to one URL with the same headers share: ``head`` lacks the body's length."""

    connector: aiohttp.BaseConnector
    request: aiohttp.ClientRequest
    head: bytes
    timeout: aiohttp.ClientTimeout

    @classmethod
    def of(
        cls,
        url: URL,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        session: aiohttp.ClientSession,
    ) -> PreparedPost | None:
        """Write the head once; ``None`` if only a session knows how to send such a request."""
        connector = session.connector
        usual = url.scheme in {"http", "https"} and url.raw_host and url.raw_user is None
        if connector is None or not usual:
            return None
        request = aiohttp.ClientRequest(
            "POST", url, headers=headers, loop=asyncio.get_running_loop(), session=session
        )
        lines = [f"POST {request.url.raw_path_qs} HTTP/1.1"]
        for name, value in request.headers.items():
            if any(mark in f"{name}{value}" for mark in "\r\n\0"):
                raise ValueError("Newline or null in a header")
            if name.lower() not in {"content-length", "transfer-encoding"}:
                lines.append(f"{name}: {value}")
        lines.append("Content-Length: ")
        return cls(connector, request, "\r\n".join(lines).encode("utf-8"), timeout)


async def exchange(prepared: PreparedPost, content: bytes, most: int) -> WholeAnswer | None:
    """POST ``content``, and return the whole answer, ``None`` if it has over ``most`` bytes.

    ``content`` has at most :data:`SMALL_BYTES`. Raises what aiohttp's session raises.
    """
    try:
        connection = await prepared.connector.connect(prepared.request, [], prepared.timeout)
    except TimeoutError as error:
        url = prepared.request.url
        raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {url}") from error
    try:
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(
            read_until_eof=True, auto_decompress=True, read_timeout=prepared.timeout.sock_read
        )
        protocol.transport.write(b"%b%d\r\n\r\n%b" % (prepared.head, len(content), content))
        protocol.start_timeout()
        message, payload = await protocol.read()
        while 100 <= message.code < 200 and message.code != _SWITCHING_PROTOCOLS:
            message, payload = await protocol.read()  # that was an interim response
        if payload.is_eof():
            whole = payload.read_nowait()
            body = whole if len(whole) <= most else None
        else:
            body = await joined(payload.iter_any(), most)
    except HttpProcessingError as error:
        connection.close()
        raise aiohttp.ClientResponseError(
            prepared.request.request_info,
            (),
            status=error.code,
            message=error.message,
            headers=error.headers,
        ) from error
    except BaseException:
        connection.close()
        raise
    connection.release()  # which closes a connection whose answer was not read to its end
    if body is None:
        return None
    return WholeAnswer(message.code, message.headers, message.raw_headers, body)


async def joined(source: AsyncIterator[bytes], most: int) -> bytes | None:
    """Return all of ``source``, or ``None`` if it has more than ``most`` bytes."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in source:
        size += len(chunk)
        if size > most:
            return None
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
