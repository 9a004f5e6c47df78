"""Reads keys, budgets and prices twice a second, on a thread that no other work blocks."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from django.db import connections

from optimizer.wiring.periodic import PeriodicTask, PeriodicTasks

_SECONDS = 0.5
"""Seconds between readings: a revoked key or a new budget takes effect within this and a query."""
_LAST_SECONDS = 10.0
"""Seconds for the last tasks: a worker must be able to end while the database hangs."""


class FastRefresher:
    """Runs ``periodic_tasks`` every ``seconds``; at the end runs ``last`` and disconnects."""

    def __init__(
        self,
        periodic_tasks: Sequence[PeriodicTask],
        last: Sequence[PeriodicTask],
        seconds: float = _SECONDS,
    ) -> None:
        self._tasks = PeriodicTasks(periodic_tasks)
        self._last = PeriodicTasks(last)
        self._seconds = seconds
        self._over = threading.Event()
        self._read = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fast-refresher", daemon=True)

    def begin(self) -> None:
        """Start the thread, and return after its first round, whether it succeeded or not."""
        self._thread.start()
        self._read.wait()

    def close(self) -> None:
        """Run the last tasks, if the database answers within ten seconds, and end the thread."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        try:
            while True:
                self._tasks.run_due()
                self._read.set()
                if self._over.wait(self._seconds):
                    break
            self._last.run_due()
        finally:
            connections.close_all()
