"""ASGI and aiohttp, nothing between: passes on and records nothing."""

from __future__ import annotations

import os
from typing import Any

import aiohttp

from benchmarks.gateway.upstream import read_body

_JSON = {"content-type": "application/json"}
_HEAD = [(b"content-type", b"application/json")]
_session: list[aiohttp.ClientSession] = []


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if not _session:
        _session.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512)))
    body = await read_body(receive)
    async with _session[0].post(os.environ["UPSTREAM"], data=body, headers=_JSON) as response:
        answer = await response.read()
    await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
    await send({"type": "http.response.body", "body": answer})
