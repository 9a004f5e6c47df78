"""Sums of roll-ups that were read before, kept by each process.

An hour or a day that is summed stays the same until it is summed anew, and that changes the
roll-ups' revision. So the sums of whole hours and days are read once for each revision: a page
of the last 30 days reads anew only the hours that were summed since, and the requests after them.
"""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

_MOST_BYTES = 16 * 1024 * 1024
_MOST_ENTRIES = 2_000
"""Many entries are of few rows or none, so that their keys take more memory than they do."""
Rows = Sequence[tuple[Any, ...]]


class RollupCache:
    """Keeps rows by key: the last used ``most_entries``, in at most ``most_bytes`` of packed rows.

    Any thread may use it.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES, most_entries: int = _MOST_ENTRIES) -> None:
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self._packed: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Rows | None:
        """Return the rows that were kept under ``key``; ``None`` if there are none."""
        with self._lock:
            packed = self._packed.get(key)
            if packed is None:
                return None
            self._packed.move_to_end(key)
        # Only this process writes what it unpacks.
        rows: Rows = pickle.loads(packed)  # noqa: S301
        return rows

    def put(self, key: Hashable, rows: Rows) -> None:
        """Keep ``rows`` under ``key``, unless they take more than an eighth of all bytes."""
        packed = pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)
        if len(packed) > self._most_bytes // 8:
            return
        with self._lock:
            self._bytes += len(packed) - len(self._packed.pop(key, b""))
            self._packed[key] = packed
            while self._bytes > self._most_bytes or len(self._packed) > self._most_entries:
                _, oldest = self._packed.popitem(last=False)
                self._bytes -= len(oldest)

    def clear(self) -> None:
        """Forget all rows."""
        with self._lock:
            self._packed.clear()
            self._bytes = 0


ROLLUP_CACHE = RollupCache()
