"""Starts the services with the server and stops them with it."""

from __future__ import annotations

import asyncio
import gc
import logging

from optimizer.server.errors import App, Receive, Scope, Send
from optimizer.wiring.build import forget_services, get_services
from optimizer.wiring.services import Services
from optimizer.wiring.shutdown import before_the_server_ends

logger = logging.getLogger(__name__)


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
