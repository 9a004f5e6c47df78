"""Starts and stops the services with the server."""

from __future__ import annotations

import asyncio
import gc
import logging

from django.core.exceptions import ImproperlyConfigured

from optimizer.server.errors import App, Receive, Scope, Send
from optimizer.wiring.build import forget_services, get_services
from optimizer.wiring.services import Services
from optimizer.wiring.shutdown import before_the_server_ends

logger = logging.getLogger(__name__)


class Lifespan:
    """Starts the services when the server starts and stops them, in order, when it stops."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the server's start and stop; pass everything else on."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    services = get_services()
                    await services.start()
                    _end_live_feeds_at_shutdown(services)
                    _collect_less_often()
                except ImproperlyConfigured as error:
                    # The message says which setting is wrong; where it was read does not help.
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
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
    """Make the garbage collector run less often.

    Objects loaded by now live as long as the process, and the objects of a request rarely need
    the collector. Its passes over all objects took a tenth of the time of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _end_live_feeds_at_shutdown(services: Services) -> None:
    """End the live feeds on a stop signal, because the server waits for open responses."""
    loop = asyncio.get_running_loop()

    def end_feeds() -> None:
        services.ending = True
        loop.call_soon_threadsafe(services.feed.end)

    before_the_server_ends(end_feeds)
