"""Where ledger entries wait on disk while the database cannot take them.

One JSON line an entry, flushed to the disk before the answer leaves. Replayed
when the database is back; an entry that was already committed is skipped, so a
replay that is cut off may simply be repeated.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.core import serializers
from django.db import models

logger = logging.getLogger(__name__)


class Journal:
    """Append-only files in ``folder``, one a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"

    def append(self, entries: list[list[models.Model]]) -> None:
        """Write each entry's rows as one line, durably. Raises ``OSError``."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = "".join(
            json.dumps(serializers.serialize("json", rows)) + "\n" for rows in entries
        )
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def pending(self) -> list[Path]:
        """Files with entries that have not been replayed, oldest first."""
        if not self._folder.is_dir():
            return []
        return sorted(self._folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)

    @staticmethod
    def read(path: Path) -> Iterator[list[models.Model]]:
        """The entries of a file. A last line cut off by a crash was never acknowledged: skipped."""
        with path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    rows = serializers.deserialize("json", json.loads(line))
                    yield [row.object for row in rows]
                except (ValueError, serializers.base.DeserializationError):
                    logger.error("Skipped an unreadable line of the ledger journal %s", path.name)
