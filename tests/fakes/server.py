"""An HTTP server that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; ``body`` is empty if it is no JSON.

    ``sent_path`` is the path as it was written, ``path`` is decoded.
    """

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    method: str = "POST"
    query: str = ""
    raw: bytes = b""
    sent_path: str = ""


@dataclass(frozen=True)
class Reply:
    """What to answer. ``drop`` closes the connection after half of the body.

    With ``chunks`` the body is streamed, ``pause`` seconds between two, as
    server-sent events; ``drop`` then cuts the connection after the last.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    chunks: Iterable[bytes] | None = None
    pause: float = 0.0

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Wire = Callable[[Asked], Reply]


class FakeProvider:
    """``async with FakeProvider(wire) as fake``: listens on ``fake.url``.

    ``next(*replies)`` scripts the coming answers; after those the wire answers
    by itself. ``gate``, when set to an event, holds every answer until it is set.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.asked: list[Asked] = []
        self.gate: asyncio.Event | None = None
        self._scripted: deque[Reply] = deque()
        self._always: Reply | None = None
        self.url = ""
        self.written = 0
        self.hung_up_on = 0

    def next(self, *replies: Reply) -> None:
        self._scripted.extend(replies)

    def always(self, reply: Reply | None) -> None:
        self._always = reply

    async def __aenter__(self) -> FakeProvider:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        is_json = request.content_type == "application/json" and raw
        asked = Asked(
            request.path, request.headers.copy(), json.loads(raw) if is_json else {},
            request.method, request.query_string, raw,
            request.raw_path.partition("?")[0],
        )  # fmt: skip
        self.asked.append(asked)
        if self._scripted:
            reply = self._scripted.popleft()
        else:
            reply = self._always or self.wire(asked)
        if self.gate is not None:
            await self.gate.wait()
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.chunks is not None:
            return await self._stream(request, reply)
        if reply.drop:
            response = web.StreamResponse(headers={"content-length": str(len(reply.raw))})
            await response.prepare(request)
            await response.write(reply.raw[: len(reply.raw) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        headers = {"content-type": "application/json", **reply.headers}
        return web.Response(body=reply.raw, status=reply.status, headers=headers)

    async def _stream(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        headers = {"content-type": "text/event-stream", **reply.headers}
        response = web.StreamResponse(status=reply.status, headers=headers)
        await response.prepare(request)
        try:
            for chunk in reply.chunks or ():
                await response.write(chunk)
                self.written += 1
                await asyncio.sleep(reply.pause)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up_on += 1
            raise
        if reply.drop:
            assert request.transport is not None
            request.transport.close()
        return response
