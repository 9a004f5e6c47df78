"""The database's circuit breaker: bounds waits, and pauses calls after a failure.

A database that is down refuses connections at once. One that hangs (a stalled disk, a host
without power, a network that drops packets) does not respond, and its driver waits as long as
the connection is open.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection, connections

Result = TypeVar("Result")

DATABASE_UNAVAILABLE = (OperationalError, InterfaceError, InternalError)
"""The errors of a database that is unavailable; one that only reads raises the last."""
_AT_ONCE = 1.0
"""Seconds within which a connection that the server has closed raises an error."""
_SHORTEST_REST, _LONGEST_REST = 1.0, 10.0
_LOG_AGAIN = 60.0


class DatabaseCircuit:
    """The circuit breaker of one thread.

    After a failure it is open for ten times as long as the failure took, at least one and at
    most ten seconds. So few callers wait in vain, and a database that returns soon is used soon.
    """

    def __init__(self) -> None:
        # Twice the time that PostgreSQL may wait for a lock: it reports that timeout itself.
        self._patience = 2.0 * settings.DATABASE_TIMEOUT
        self._rests_until = 0.0
        self._logged_at: float | None = None
        self._lock = threading.Lock()
        self._waiting_on: Any = None
        self._since = 0.0

    @property
    def is_open(self) -> bool:
        """Return whether the database must not be called now."""
        return time.monotonic() < self._rests_until

    def reset(self) -> None:
        """Close the circuit: the database may be called again."""
        self._rests_until = 0.0

    def ask(self, work: Callable[[], Result]) -> Result:
        """Return the result of ``work``. Raises what ``work`` raises.

        An error of :data:`DATABASE_UNAVAILABLE` is raised only if a second attempt on a new
        connection fails too, or if the first one took longer than a second. SQLite is asked once.
        """
        began = time.monotonic()
        try:
            # SQLite has a timeout of its own.
            sqlite = connection.vendor == "sqlite"
            result = work() if sqlite else self._once_or_again(work, began)
        except DATABASE_UNAVAILABLE:
            connection.close()
            now = time.monotonic()
            self._rests_until = now + min(max(10 * (now - began), _SHORTEST_REST), _LONGEST_REST)
            raise
        self._logged_at = None
        return result

    def should_log(self) -> bool:
        """Return whether to log a failure: the first after a success, or the first in a minute."""
        now = time.monotonic()
        if self._logged_at is not None and now - self._logged_at < _LOG_AGAIN:
            return False
        self._logged_at = now
        return True

    def _once_or_again(self, work: Callable[[], Result], began: float) -> Result:
        try:
            return self._bounded(work)
        except DATABASE_UNAVAILABLE:
            if time.monotonic() - began > _AT_ONCE:
                raise
            # The server may have closed an idle connection.
            connection.close()
            return self._bounded(work)

    def _bounded(self, work: Callable[[], Result]) -> Result:
        with self._lock:
            self._waiting_on, self._since = connections["default"], time.monotonic()
        try:
            return work()
        finally:
            with self._lock:
                self._waiting_on = None

    def waited(self) -> float:
        """Return for how many seconds a call has waited by now; 0 if there is none."""
        return time.monotonic() - self._since if self._waiting_on is not None else 0.0

    def abort_stuck_wait(self) -> bool:
        """End the thread's wait if it takes too long, and return whether it did.

        The waiting thread gets the error of a broken connection. Another thread must call this
        about every second.
        """
        with self._lock:
            if self._waiting_on is None or time.monotonic() - self._since < self._patience:
                return False
            self._since = time.monotonic()
            _cut(self._waiting_on)
            return True


def _cut(wrapper: Any) -> None:
    """Shut the connection's socket down, through a copy: only its thread may close the original."""
    # A connection that is being opened or is already broken has no socket, and ends by itself.
    with (
        suppress(AttributeError, OSError, wrapper.Database.Error),
        socket.socket(fileno=os.dup(wrapper.connection.pgconn.socket)) as handle,
    ):
        handle.shutdown(socket.SHUT_RDWR)
