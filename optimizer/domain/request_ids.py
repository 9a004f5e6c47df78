"""Request ids: UUID version 7 (RFC 9562, section 5.7), so that they sort by time of arrival."""

from __future__ import annotations

import os
import threading
import time
import uuid
from datetime import datetime


def new_request_id(at: datetime | None = None) -> uuid.UUID:
    """Return a new id: 48 bits of Unix milliseconds (now, or ``at``), and 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1000)
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    random = int.from_bytes(_random.take())
    value |= (random >> 68) << 64
    value |= 0b10 << 62
    value |= random & ((1 << 62) - 1)
    return uuid.UUID(int=value)


class _Randomness:
    """Random bytes of the operating system, read in blocks.

    Each read is a system call, which costs more than the rest of an id. A forked process
    discards its parent's bytes and reads its own.
    """

    _SIZE = 10
    _TOGETHER = 4096 // _SIZE

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: list[bytes] = []
        os.register_at_fork(after_in_child=self._forget)

    def take(self) -> bytes:
        """Return 80 random bits that no other caller gets."""
        with self._lock:
            if not self._parts:
                size = self._SIZE
                drawn = os.urandom(size * self._TOGETHER)
                self._parts = [drawn[at : at + size] for at in range(0, len(drawn), size)]
            return self._parts.pop()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._parts = []


_random = _Randomness()
