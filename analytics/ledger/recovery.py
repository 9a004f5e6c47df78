"""Notices that the database is back: a circuit alone would rest for up to ten seconds.

Requests under a budget are refused while the circuit rests, so its rest must not outlast the
failure. A probe is written on a thread of its own, so that nobody waits if it fails or hangs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from django.db import connection

from analytics.database.circuit_breaker import DatabaseCircuit

_SECONDS = 0.5


class RecoveryProbe:
    """Closes ``circuits`` as soon as ``probe``, which writes to the database, succeeds.

    A database that refuses or hangs is tried every half second, for as long as a circuit is
    open. One that takes writes again but fails the next call opens its circuit anew.
    """

    def __init__(
        self,
        circuits: Sequence[DatabaseCircuit],
        probe: Callable[[], object],
        seconds: float = _SECONDS,
    ) -> None:
        self._circuits = circuits
        self._probe = probe
        self._seconds = seconds
        self._own = DatabaseCircuit()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recovery-probe", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread once its probe has ended; it is not waited for."""
        self._over.set()

    def abort_stuck_wait(self) -> None:
        """End a probe that waits for a database that hangs. Call this about every second."""
        self._own.abort_stuck_wait()

    def look(self) -> None:
        """Write a probe if a circuit is open, and close the circuits if it succeeds."""
        resting = [circuit for circuit in self._circuits if circuit.is_open]
        if not resting:
            return
        try:
            self._own.ask(self._probe)
        except Exception:  # noqa: BLE001 - logged by those who opened the circuits
            return
        finally:
            connection.close()
        for circuit in resting:
            circuit.reset()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            self.look()
