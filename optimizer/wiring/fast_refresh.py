"""Following keys and budgets, twice a second, on a thread that nothing else holds up."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from django.db import connections

from optimizer.wiring.periodic import PeriodicTask, PeriodicTasks

_SECONDS = 0.5
"""A revoked key opens nothing, and a new budget holds, after this and the time of a query."""
_LAST_SECONDS = 10.0
"""For what is left: a database that hangs keeps no worker from ending."""


class FastRefresher:
    """Runs ``periodic_tasks`` again and again; ends with ``last`` and closes the connection."""

    def __init__(
        self,
        periodic_tasks: Sequence[PeriodicTask],
        last: Sequence[PeriodicTask],
        seconds: float = _SECONDS,
    ) -> None:
        self._chores = PeriodicTasks(periodic_tasks)
        self._last = PeriodicTasks(last)
        self._seconds = seconds
        self._over = threading.Event()
        self._read = threading.Event()
        self._thread = threading.Thread(target=self._run, name="close-watch", daemon=True)

    def begin(self) -> None:
        """Returns after the first round, whether it could be done or not."""
        self._thread.start()
        self._read.wait()

    def close(self) -> None:
        """Do what is left, if it can be done, and end."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        try:
            while True:
                self._chores.run_due()
                self._read.set()
                if self._over.wait(self._seconds):
                    break
            self._last.run_due()
        finally:
            connections.close_all()
