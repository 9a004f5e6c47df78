"""Files of the admin come compressed, where the client takes that."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from optimizer.asgi import application

CHART, STYLE = "/static/chartjs/chart.js", "/static/admin/css/base.css"


async def get(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": "",
        "asgi": {"version": "3.0"}, "server": ("localhost", 80), "client": ("127.0.0.1", 1),
        "headers": [
            (b"host", b"localhost"),
            *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()),
        ],
    }  # fmt: skip
    await application(scope, receive, send)
    start = sent[0]
    answered = {k.decode().lower(): v.decode() for k, v in start["headers"]}
    return start["status"], answered, b"".join(m.get("body", b"") for m in sent[1:])


@pytest.mark.parametrize("path", [CHART, STYLE])
async def test_a_file_is_smaller_and_the_same(path: str) -> None:
    _, plain, whole = await get(path)
    assert "content-encoding" not in plain
    for _ in range(2):
        status, headers, body = await get(path, accept_encoding="gzip, deflate, br")
        assert status == 200
        assert headers["content-encoding"] == "gzip"
        assert headers["vary"] == "accept-encoding"
        assert int(headers["content-length"]) == len(body) < len(whole) / 2
        assert gzip.decompress(body) == whole


async def test_what_a_browser_has_is_not_sent_again() -> None:
    _, headers, _ = await get(CHART, accept_encoding="gzip")
    since = headers["last-modified"]
    status, headers, body = await get(CHART, accept_encoding="gzip", if_modified_since=since)
    assert (status, body) == (304, b"")
    assert "content-encoding" not in headers


async def test_parts_and_heads_are_as_they_were() -> None:
    status, headers, body = await get(CHART, accept_encoding="gzip", range="bytes=0-9")
    assert (status, len(body)) == (206, 10)
    assert "content-encoding" not in headers
    status, headers, body = await get(CHART, "HEAD", accept_encoding="gzip")
    assert (status, body) == (200, b"")
    assert "content-encoding" not in headers
