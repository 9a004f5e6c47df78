"""Following the keys, twice a second, on a thread that nothing else holds up."""

from __future__ import annotations

import threading

from django.db import connections

from optimizer.services.chores import Chore, Chores
from optimizer.services.keyring import KeyRing

_SECONDS = 0.5
"""A revoked key opens nothing after this and the time of one query."""


class KeyWatch:
    """Begins with a first reading; ends with the connection closed."""

    def __init__(self, keyring: KeyRing, seconds: float = _SECONDS) -> None:
        self._keyring = keyring
        self._seconds = seconds
        self._readings = Chores([Chore("Reading the API keys", 0, keyring.refresh)])
        self._over = threading.Event()
        self._read = threading.Event()
        self._thread = threading.Thread(target=self._run, name="key-watch", daemon=True)

    def begin(self) -> None:
        """Returns after the first reading, whether it could be done or not."""
        self._thread.start()
        self._read.wait()

    def close(self) -> None:
        """Write down what was used, and end."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                self._readings.run_due()
                self._read.set()
                if self._over.wait(self._seconds):
                    break
            Chores(
                [Chore("Writing down when keys were used", 0, self._keyring.tell_used)]
            ).run_due()
        finally:
            connections.close_all()
