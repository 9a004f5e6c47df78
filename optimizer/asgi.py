"""The ASGI application: static files and limits outside, Django inside, services at both ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "optimizer.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from django.conf import settings  # noqa: E402 - Django must be set up first
from django.contrib.staticfiles.finders import get_finders  # noqa: E402
from servestatic import ServeStaticASGI  # noqa: E402

from optimizer.api.endpoints import ENDPOINTS  # noqa: E402
from optimizer.api.http.failures import Failure  # noqa: E402
from optimizer.server.errors import App, Receive, Scope, Send, send_failure  # noqa: E402
from optimizer.server.fast_path import FastPath  # noqa: E402
from optimizer.server.gatekeeper import Gatekeeper  # noqa: E402
from optimizer.wiring.build import forget_services, get_services  # noqa: E402
from optimizer.wiring.services import Services  # noqa: E402
from optimizer.wiring.shutdown import before_the_server_ends  # noqa: E402

logger = logging.getLogger(__name__)


# Most clients read an answer only once they have sent everything; up to this many
# bytes are read and dropped so that they see the 413 rather than a reset.
_DRAINED_BYTES = 64 * 1024 * 1024


class BodyLimit:
    """Refuses a body over ``limit`` bytes with 413, by its declared or its real length."""

    def __init__(self, app: App, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._limit:
                await self._refuse(scope, receive, send)
                return
        size = 0

        async def limited() -> dict[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            # To the application it looks as if the client had gone: it drops what it has read.
            return {"type": "http.disconnect"} if size > self._limit else message

        await self._app(scope, limited, send)
        if size > self._limit:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        drained, more = 0, True
        while more and drained < _DRAINED_BYTES:
            message = await receive()
            drained += len(message.get("body", b""))
            more = message.get("more_body", False)
        detail = f"The request body is larger than {self._limit} bytes."
        failure = Failure.of_status(413, detail)
        headers = [(b"connection", b"close")]
        await send_failure(send, scope["path"], failure, headers, errors={"body": [detail]})


class Lifespan:
    """Starts the services with the server and stops them, in order, with it."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    services = get_services()
                    await services.start()
                    _let_watchers_go_in_time(services)
                    _collect_less_often()
                except Exception as error:
                    logger.exception("The service could not start")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                running = forget_services()
                if running is not None:
                    await running.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _collect_less_often() -> None:
    """What has been loaded by now lives as long as the process, and a request's objects rarely
    need the garbage collector: looking through all of it took a tenth of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _let_watchers_go_in_time(services: Services) -> None:
    loop = asyncio.get_running_loop()

    def let_go() -> None:
        services.ending = True
        loop.call_soon_threadsafe(services.feed.end)

    before_the_server_ends(let_go)


def _with_static_files(app: App) -> App:
    """Serve the admin's and Swagger UI's files straight from the installed packages."""
    static = ServeStaticASGI(app, max_age=3600)
    for finder in get_finders():
        for storage in getattr(finder, "storages", {}).values():
            prefix = getattr(storage, "prefix", "")
            static.add_files(storage.location, prefix=f"{settings.STATIC_URL}{prefix}")
    return static  # type: ignore[no-any-return]


application = Lifespan(
    BodyLimit(
        _with_static_files(
            Gatekeeper(
                FastPath(cast("App", _django), ENDPOINTS), behind_proxy=settings.TRUST_PROXY_HEADERS
            )
        ),
        settings.MAX_BODY_BYTES,
    )
)
