"""Whether a record could be stored now: asked before a provider is called, and by ``/ready``.

A call whose record is lost is paid for and thrown away. So requests are refused as soon as
neither the database nor the journal takes records, and served again once one of them does.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db import connections, transaction

from analytics.database.bulk_write import RowWriter
from analytics.database.circuit_breaker import DatabaseCircuit
from analytics.ledger.journal import Journal
from analytics.models import RequestRecord

logger = logging.getLogger(__name__)

_PROBES = RowWriter(RequestRecord)
_LOOK_SECONDS = 0.5
_STUCK_SECONDS = 1.0
"""A write that takes longer is taken for one that may never end."""
_STALE_SECONDS = 2.0
"""A look at the disk that is older says nothing: the disk itself may hang."""
_LEAST_SHARE = 0.05
"""On a small disk, this share of it is kept free instead of ``MIN_FREE_DISK_MB``."""


class RecordsUnavailable(Exception):
    """Nothing can be recorded now, so no provider is called."""

    def __init__(self) -> None:
        super().__init__(
            "Nothing can be recorded right now, so no model was called. Try again shortly."
        )


class WriteHealth:
    """The outcomes of the last writes, and the free space where they go.

    The database counts by its last commit, unless a write is stuck; the journal by its last
    write, or by a probe file while the database is in doubt. A thread looks twice a second.

    ``can_record`` is whether a record would be stored now, and ``database_in_doubt`` whether
    the last commit failed, so that a probe must show when one succeeds. Every request reads
    the first and every batch of records the second, so they are plain values.
    """

    def __init__(self, journal: Journal, database: DatabaseCircuit) -> None:
        self._journal = journal
        self._database = database
        self.can_record = True
        self.database_in_doubt = False
        self._journal_failed = False
        self._full: list[Path] = []
        self._looked_at: float | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._sqlite = _sqlite_folder()

    def check(self) -> None:
        """Raise :class:`RecordsUnavailable` while nothing can be recorded."""
        if not self.can_record:
            raise RecordsUnavailable

    def reasons(self) -> list[str]:
        """Return why nothing can be recorded; empty if something can."""
        if self.can_record:
            return []
        reasons = ["Neither the database nor the journal on disk can be written."]
        if self._full:
            folders = ", ".join(map(str, self._full))
            reasons.append(f"There is too little free space in {folders}.")
        return reasons

    def database_wrote(self) -> None:
        """Note that a transaction was committed."""
        self.database_in_doubt = False
        self.decide()

    def database_failed(self) -> None:
        """Note that a transaction could not be committed."""
        self.database_in_doubt = True
        self.decide()

    def journal_failed(self) -> None:
        """Note that an entry could not be written to the disk."""
        self._journal_failed = True
        self.decide()

    def begin(self) -> None:
        """Start to look, on a thread that no other work blocks."""
        self.look()
        self._thread = threading.Thread(target=self._run, name="write-health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._over.set()

    def look(self) -> None:
        """Look at the free space, and at the journal if the database is in doubt."""
        self._full = list(_full({self._journal.folder, self._sqlite or self._journal.folder}))
        if self.database_in_doubt or self._is_stuck():
            self._journal_failed = not self._journal.writable()
        elif not self._full:
            self._journal_failed = False
        self._looked_at = time.monotonic()
        self.decide()

    def decide(self) -> None:
        """Decide anew whether records can be stored. Call this about every second.

        The caller is another thread than the one that looks: a disk that hangs stops that one.
        """
        can_record = self._database_takes() or self._journal_takes()
        if can_record != self.can_record:
            self.can_record = can_record
            if can_record:
                logger.warning("Records can be stored again: requests are served")
            else:
                logger.critical("Requests are refused: %s", " ".join(self.reasons()))

    def _database_takes(self) -> bool:
        # SQLite needs space for each commit; other databases have disks of their own.
        return not (
            self.database_in_doubt
            or self._is_stuck()
            or (self._sqlite and self._sqlite in self._full)
        )

    def _journal_takes(self) -> bool:
        if self._journal_failed or self._journal.folder in self._full:
            return False
        # Before the first look, nothing is known to be wrong.
        return self._looked_at is None or time.monotonic() - self._looked_at < _STALE_SECONDS

    def _is_stuck(self) -> bool:
        return self._database.waited() > _STUCK_SECONDS

    def _run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.look()


def write_probe() -> None:
    """Commit a record that is gone within its own transaction: nobody ever sees it."""
    probe = RequestRecord(id=uuid.uuid4(), complexity=0.0)
    with transaction.atomic():
        _PROBES.write([probe])
        RequestRecord.objects.filter(pk=probe.pk).delete()


def _sqlite_folder() -> Path | None:
    """Return the folder of the database's file, ``None`` if it is none or in memory."""
    if connections["default"].vendor != "sqlite":
        return None
    folder = Path(str(settings.DATABASES["default"]["NAME"])).parent
    return folder if folder.is_absolute() and folder.is_dir() else None


def _full(folders: Iterable[Path]) -> Iterable[Path]:
    """Yield the folders on disks that have too little free space."""
    for folder in folders:
        place = folder
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            disk = os.statvfs(place)
        except OSError:
            yield folder
            continue
        if disk.f_bavail * disk.f_frsize < least_free_space(disk.f_blocks * disk.f_frsize):
            yield folder


def least_free_space(size: int) -> int:
    """Return the bytes that must be free on a disk of ``size`` bytes to store records."""
    return min(settings.MIN_FREE_DISK_MB * 1024 * 1024, int(size * _LEAST_SHARE))
