"""How long a thread waits for the database, and how long it then leaves it alone.

A database that is gone refuses at once. One that hangs (a stalled disk, a host
without power, a network that swallows packets) says nothing, and its driver
waits for as long as the connection stands.
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
from django.db import InterfaceError, OperationalError, connection, connections

Result = TypeVar("Result")

DATABASE_UNAVAILABLE = (OperationalError, InterfaceError)
"""What a database raises that cannot be asked now."""
_AT_ONCE = 1.0
"""Seconds within which a connection that the server has dropped shows that it is."""
_SHORTEST_REST, _LONGEST_REST = 1.0, 10.0
_SAID_AGAIN = 60.0


class DatabaseCircuit:
    """One thread's. After a failure the database is to be left alone ten times as long as the
    failure took to show, one to ten seconds: so hardly anybody waits in vain, and a database
    that is back soon is used soon.
    """

    def __init__(self) -> None:
        # Twice what PostgreSQL may wait for a lock: that it says itself.
        self._patience = 2.0 * settings.DATABASE_TIMEOUT
        self._rests_until = 0.0
        self._said_at: float | None = None
        self._lock = threading.Lock()
        self._asked: Any = None
        self._since = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._rests_until

    def reset(self) -> None:
        """It need not be left alone any longer."""
        self._rests_until = 0.0

    def ask(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives. Raises what it raises; of :data:`AWAY`, only if a new connection
        does no better or has been waited for already.
        """
        began = time.monotonic()
        try:
            # SQLite bounds its waiting itself.
            sqlite = connection.vendor == "sqlite"
            result = work() if sqlite else self._once_or_again(work, began)
        except DATABASE_UNAVAILABLE:
            connection.close()
            now = time.monotonic()
            self._rests_until = now + min(max(10 * (now - began), _SHORTEST_REST), _LONGEST_REST)
            raise
        self._said_at = None
        return result

    def should_log(self) -> bool:
        """Whether a failure is news: the first since something worked, or in a minute."""
        now = time.monotonic()
        if self._said_at is not None and now - self._said_at < _SAID_AGAIN:
            return False
        self._said_at = now
        return True

    def _once_or_again(self, work: Callable[[], Result], began: float) -> Result:
        try:
            return self._bounded(work)
        except DATABASE_UNAVAILABLE:
            if time.monotonic() - began > _AT_ONCE:
                raise
            # The server may have dropped an idle connection.
            connection.close()
            return self._bounded(work)

    def _bounded(self, work: Callable[[], Result]) -> Result:
        with self._lock:
            self._asked, self._since = connections["default"], time.monotonic()
        try:
            return work()
        finally:
            with self._lock:
                self._asked = None

    def abort_stuck_wait(self) -> bool:
        """End the thread's wait if it has taken too long: it sees a connection that broke.

        For another thread, every second or so. Whether it was so.
        """
        with self._lock:
            if self._asked is None or time.monotonic() - self._since < self._patience:
                return False
            self._since = time.monotonic()
            _cut(self._asked)
            return True


def _cut(wrapper: Any) -> None:
    """By a handle of its own: the driver's is its thread's to close."""
    # A connection that is being made or is broken already has none, and ends by itself.
    with (
        suppress(AttributeError, OSError, wrapper.Database.Error),
        socket.socket(fileno=os.dup(wrapper.connection.pgconn.socket)) as handle,
    ):
        handle.shutdown(socket.SHUT_RDWR)
