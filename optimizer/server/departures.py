"""Ends what is done for a client once the client has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from optimizer.server.half_closed import HalfClosedConnection

if TYPE_CHECKING:  # each of several workers imports this module before Django is set up
    from optimizer.server.errors import Receive, Scope

_SCOPE_KEY = "optimizer.departure"
_WATCH_AFTER_SECONDS = 0.05
"""Most answers are complete before this, so they need no task that watches."""


class Departure:
    """Says whether the client of a connection has left, and tells those that wait for it."""

    __slots__ = ("_callbacks", "left")

    def __init__(self) -> None:
        self.left = False
        self._callbacks: set[Callable[[], object]] = set()

    def tell(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once the client leaves, with the next turn of the loop if it has."""
        if self.left:
            asyncio.get_running_loop().call_soon(callback)
        else:
            self._callbacks.add(callback)

    def forget(self, callback: Callable[[], object]) -> None:
        """Do not call ``callback`` any more."""
        self._callbacks.discard(callback)

    def note(self) -> None:
        """Note that the client has left."""
        self.left = True
        callbacks, self._callbacks = self._callbacks, set()
        for callback in callbacks:
            callback()


class WatchedConnection(HalfClosedConnection):
    """Tells its requests that their client has left, without a task for each that waits for it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a client that is there."""
        self._departure = Departure()
        super().connection_made(transport)

    def on_headers_complete(self) -> None:
        """Give the request what it learns of its client by."""
        self.scope[_SCOPE_KEY] = self._departure  # type: ignore[literal-required]
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the requests in progress."""
        super().connection_lost(exc)
        self._departure.note()


class DisconnectWatcher:
    """Cancels the current task if the client disconnects while inside the ``with`` block.

    It learns of it from its :class:`WatchedConnection`. Under another server it waits for the
    message, in a task that starts only after :data:`_WATCH_AFTER_SECONDS`.
    """

    __slots__ = ("_departure", "_left", "_receive", "_serving", "_timer", "_watch")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._serving = asyncio.current_task()
        self._watch: asyncio.Future[dict[str, Any]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._departure: Departure | None = scope.get(_SCOPE_KEY)
        if self._departure is not None:
            self._departure.tell(self._on_departure)
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_WATCH_AFTER_SECONDS, self._start_watching)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        serving, self._serving = self._serving, None
        if self._departure is not None:
            self._departure.forget(self._on_departure)
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        # A cancellation from elsewhere is passed on.
        return bool(
            self._left and serving and not serving.uncancel() and kind is asyncio.CancelledError
        )

    def _start_watching(self) -> None:
        self._watch = asyncio.ensure_future(self._receive())
        self._watch.add_done_callback(self._on_message)

    def _on_message(self, watch: asyncio.Future[dict[str, Any]]) -> None:
        if not watch.cancelled():
            self._on_departure()

    def _on_departure(self) -> None:
        if self._serving is not None:
            self._left = True
            self._serving.cancel()
