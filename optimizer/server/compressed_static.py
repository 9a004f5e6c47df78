"""Compresses scripts, styles and pictures of the admin for browsers, once for each file.

They are the same for everybody and hold no secrets, so that their sizes tell nothing.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

from optimizer.server.errors import App

_KINDS = (b"text/css", b"text/javascript", b"application/javascript", b"image/svg+xml")
_LEAST_BYTES = 1024
_MOST_KEPT = 400


class CompressedStatic:
    """Serves the files under ``prefix``, with gzip to clients that take it; ``app`` the rest.

    ``files`` has the files. Nothing else passes through it.
    """

    def __init__(self, app: App, files: App, prefix: str) -> None:
        self._app = app
        self._files = files
        self._prefix = prefix
        self._kept: dict[tuple[str, bytes], bytes] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer an ASGI request."""
        if not scope.get("path", "").startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        if not _may_compress(scope):
            await self._files(scope, receive, send)
            return
        messages: list[dict[str, Any]] = []

        async def keep(message: dict[str, Any]) -> None:
            messages.append(message)

        await self._files(scope, receive, keep)
        start = messages[0]
        body = b"".join(message.get("body", b"") for message in messages[1:])
        headers = dict(start["headers"])
        kind = headers.get(b"content-type", b"").partition(b";")[0]
        if start["status"] == 200 and kind in _KINDS and b"content-encoding" not in headers:
            if len(body) >= _LEAST_BYTES:
                body = await self._compressed(scope["path"], headers, body)
                headers |= {b"content-encoding": b"gzip", b"content-length": b"%d" % len(body)}
            headers[b"vary"] = b"accept-encoding"
            start = {**start, "headers": list(headers.items())}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    async def _compressed(self, path: str, headers: dict[bytes, bytes], body: bytes) -> bytes:
        key = path, headers.get(b"last-modified", b"") + b"%d" % len(body)
        kept = self._kept.get(key)
        if kept is None:
            kept = await asyncio.to_thread(gzip.compress, body, 9, mtime=0)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept


def _may_compress(scope: Any) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    headers = dict(scope["headers"])
    return b"gzip" in headers.get(b"accept-encoding", b"") and b"range" not in headers
