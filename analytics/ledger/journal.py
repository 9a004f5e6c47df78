"""The journal: stores ledger entries on disk while the database is unavailable.

An entry is one JSON line, flushed to the disk before the answer is delivered. The journal is
replayed once the database is available; an entry that was already committed is skipped, so an
interrupted replay can simply be repeated.
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
"""The size of a long entry: a full disk may still have room for an empty file."""


class Journal:
    """Append-only files in ``folder``, one per process. Any process may replay any file.

    A file is locked while it is written and while it is replayed, so a worker that replays
    another worker's file never removes a line that it has not read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"

    def append(self, entries: list[list[models.Model]]) -> None:
        """Write each entry's rows as one line, durably. Raises ``OSError``."""
        lines = "".join(json.dumps(serializers.serialize("json", rows)) + "\n" for rows in entries)
        self._append_lines(self._path, lines)

    def set_aside(self, rows: list[models.Model]) -> None:
        """Store an entry that the database refuses apart from the others, in ``refused.txt``."""
        self._keep(json.dumps(serializers.serialize("json", rows)) + "\n")

    def writable(self) -> bool:
        """Return whether an entry can be stored now; a probe file is written to find out."""
        probe = self.folder / f"probe-{uuid.uuid4().hex[:8]}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        """Return the files with entries that have not been replayed."""
        if not self.folder.is_dir():
            return []
        return sorted(self.folder.glob("*.jsonl"))

    @contextmanager
    def replaying(self, path: Path) -> Iterator[Iterator[list[models.Model]]]:
        """Give the entries of a file, and remove the file if the block succeeds.

        A line that cannot be read, such as one cut off by a crash, is set aside and skipped.
        """
        try:
            file = path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:  # another worker has already replayed it
            yield iter(())
            return
        with file:
            self._lock(file.fileno())
            if os.fstat(file.fileno()).st_nlink == 0:
                # Another worker replayed it while this one waited. Its owner may have begun a new
                # file of the same name, which nobody has read.
                yield iter(())
                return
            yield self._entries(file, path.name)
            path.unlink(missing_ok=True)

    def _lock(self, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _entries(self, lines: Iterable[str], name: str) -> Iterator[list[models.Model]]:
        for line in lines:
            try:
                rows = [row.object for row in serializers.deserialize("json", json.loads(line))]
            except (ValueError, TypeError, AttributeError, serializers.base.DeserializationError):
                rows = []
            if rows:
                yield rows
            else:
                logger.error("An unreadable line of the ledger journal %s is set aside", name)
                self._keep(line)

    def _keep(self, line: str) -> None:
        self._append_lines(self.folder / "refused.txt", line)

    def _append_lines(self, path: Path, lines: str) -> None:
        """Append all of ``lines``, or nothing: a part would spoil the line that comes next."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(descriptor, "ab", buffering=0) as file:
                self._lock(descriptor)
                status = os.fstat(descriptor)
                if status.st_nlink == 0:
                    continue  # replayed and removed between opening and locking
                try:
                    rest = memoryview(lines.encode())
                    while rest:
                        rest = rest[file.write(rest) :]
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, status.st_size)
                    raise
                return
