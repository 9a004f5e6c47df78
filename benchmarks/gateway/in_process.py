"""The service in this process against a fake provider, so that its own threads can be watched."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gateway.complete import served, service_environment

_CHUNK = 64 * 1024
"""Bytes of a body that arrive at once."""


@contextmanager
def prepared(environment: Mapping[str, str] | None = None, catalogue: str = "") -> Iterator[None]:
    """Django set up on an empty database. ``{upstream}`` in ``catalogue`` is the provider's URL."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served("benchmarks.gateway.upstream:application", {}) as upstream,
    ):
        os.environ.update({**service_environment(upstream, folder, None), **(environment or {})})
        if catalogue:
            file = Path(folder) / "catalogue.toml"
            file.write_text(catalogue.replace("{upstream}", upstream))
            os.environ["CATALOGUE_FILE"] = str(file)
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield


@asynccontextmanager
async def running() -> AsyncIterator[Any]:
    """The ASGI application, between its start and its end. Raises ``RuntimeError``."""
    from optimizer.asgi import application

    messages = asyncio.Queue[dict[str, Any]]()
    started = asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        if message["type"].endswith(".failed"):
            started.set_exception(RuntimeError(message["message"]))
        elif not started.done():
            started.set_result(None)

    lifespan = asyncio.create_task(application({"type": "lifespan"}, messages.get, send))
    await messages.put({"type": "lifespan.startup"})
    await started
    yield application
    await messages.put({"type": "lifespan.shutdown"})
    await lifespan


async def post(app: Any, path: str, raw: bytes) -> tuple[int, bytes]:
    """One request straight to the ASGI application; its status and the end of its answer."""
    sent: list[dict[str, Any]] = []
    starts = iter(range(0, len(raw), _CHUNK))

    async def receive() -> dict[str, Any]:
        start = next(starts, None)
        if start is None:
            return await asyncio.Event().wait()  # type: ignore[return-value]
        if start:
            await asyncio.sleep(0)
        more = start + _CHUNK < len(raw)
        return {"type": "http.request", "body": raw[start : start + _CHUNK], "more_body": more}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"host", b"localhost"),
               (b"content-length", str(len(raw)).encode())]  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "scheme": "http", "http_version": "1.1",
        "client": ("127.0.0.1", 1), "server": ("localhost", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], sent[-1].get("body", b"")[-200:]
