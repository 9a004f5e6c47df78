"""Where ledger entries wait on disk while the database cannot take them.

One JSON line an entry, flushed to the disk before the answer leaves. Replayed
when the database is back; an entry that was already committed is skipped, so a
replay that is cut off may simply be repeated.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core import serializers
from django.db import models

logger = logging.getLogger(__name__)

_PROBE_BYTES = 64 * 1024
"""As much as a long entry takes: a disk may have room for nothing but an empty file."""


class Journal:
    """Append-only files in ``folder``, one a process. Any process may replay any of them.

    A file is locked while it is written and while it is replayed, so a worker
    that replays another's file never removes a line it has not read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"

    def append(self, entries: list[list[models.Model]]) -> None:
        """Write each entry's rows as one line, durably. Raises ``OSError``."""
        lines = "".join(json.dumps(serializers.serialize("json", rows)) + "\n" for rows in entries)
        self._append_lines(self._path, lines)

    def set_aside(self, rows: list[models.Model]) -> None:
        """Keep an entry that the database refuses, out of the way of the others."""
        self._keep(json.dumps(serializers.serialize("json", rows)) + "\n")

    def writable(self) -> bool:
        """Whether an entry could be kept now: a file is written and flushed to see."""
        probe = self._folder / f"probe-{uuid.uuid4().hex[:8]}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with probe.open("wb") as file:
                    file.write(b"\0" * _PROBE_BYTES)
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def pending(self) -> list[Path]:
        """Files with entries that have not been replayed."""
        if not self._folder.is_dir():
            return []
        return sorted(self._folder.glob("*.jsonl"))

    @contextmanager
    def replaying(self, path: Path) -> Iterator[Iterator[list[models.Model]]]:
        """The entries of a file; the file is removed if the block succeeds.

        A line that cannot be read, as one that a crash cut off, is skipped and set aside.
        """
        try:
            file = path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:  # another worker was faster
            yield iter(())
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield self._entries(file, path.name)
            path.unlink(missing_ok=True)

    def _entries(self, lines: Iterable[str], name: str) -> Iterator[list[models.Model]]:
        for line in lines:
            try:
                rows = [row.object for row in serializers.deserialize("json", json.loads(line))]
            except (ValueError, TypeError, AttributeError, serializers.base.DeserializationError):
                rows = []
            if rows:
                yield rows
            else:
                logger.error("Set an unreadable line of the ledger journal %s aside", name)
                self._keep(line)

    def _keep(self, line: str) -> None:
        self._append_lines(self._folder / "refused.txt", line)

    def _append_lines(self, path: Path, lines: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file.fileno()).st_nlink == 0:
                    continue  # replayed and removed between opening and locking
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
                return
