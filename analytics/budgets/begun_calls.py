"""Proof of which calls a worker began, and how far they came, in a file that outlives the worker.

A hold is made before its call, so a worker that dies leaves holds of which nobody knows whether
the provider was called. Each worker therefore writes a record of the call to a file of its own
before the call. The file is locked as long as the worker lives: a process of the same machine
that gets the lock knows that the worker is dead. A write goes to the memory of the operating
system, which outlives the process but not the machine, so the file names the machine's start.

While an answer arrives, its record is overwritten in place, at the cost of one system call.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from analytics.money import SMALLEST_USD

logger = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_KEPT = 16_384
"""Records that stay when a file is shortened: far more than a worker has calls in progress."""
_RECORD = struct.Struct("<16sIIq")
_SUFFIX = ".progress"
"""Files of the first format, which had ids alone, end in ".calls": they prove nothing here."""
_MOST_TOKENS = 2**32 - 2
_NOT_SEEN = 2**32 - 1
_MOST_UNITS = 2**63 - 1
_TRY_AGAIN_SECONDS = 1.0


class CallProgress(NamedTuple):
    """What is known of a call: its tokens, and what they cost in USD.

    ``tokens_out`` is ``None`` while nothing of a whole answer is known; ``cost`` is then that
    of the input. It includes what earlier calls of the same request cost.
    """

    tokens_in: int
    tokens_out: int | None
    cost: Decimal


_Record = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Proof:
    """What is proved about a worker: that it is dead, and the requests whose calls it began.

    ``begun`` has the last record of each request, by the bytes of its id. It is ``None`` if the
    calls are unknown, so that each may have begun.
    """

    dead: bool = False
    begun: Mapping[bytes, _Record] | None = None

    def may_have_begun(self, request: UUID) -> bool:
        """Return whether the call of ``request`` may have begun."""
        return self.begun is None or request.bytes in self.begun

    def progress(self, request: UUID) -> CallProgress | None:
        """Return how far the call of ``request`` came, ``None`` if that is unknown."""
        record = self.begun.get(request.bytes) if self.begun is not None else None
        if record is None:
            return None
        tokens_in, tokens_out, units = record
        seen = None if tokens_out == _NOT_SEEN else tokens_out
        return CallProgress(tokens_in, seen, units * SMALLEST_USD)


@dataclass(slots=True)
class BegunCalls:
    """The file of this worker. Use it on one thread."""

    folder: Path
    worker: str
    _file: int | None = field(default=None, init=False)
    _records: bytearray = field(default_factory=bytearray, init=False)
    """The records of the file, so that it can be written again."""
    _first: int = field(default=0, init=False)
    """The number of the first record in the file."""
    _start: int = field(default=0, init=False)
    """Where the records begin in the file."""
    _broken_until: float = field(default=0.0, init=False)

    def open(self) -> None:
        """Begin the file before the first hold: what it does not name has not begun.

        After a failure it is tried again, at most once a second.
        """
        if self._file is None or self._broken_until:
            if self._broken_until > time.monotonic():
                return
            try:
                self._begin_file()
            except OSError as error:
                self._give_up(error)

    def add(self, request: UUID, progress: CallProgress) -> int:
        """Write that a call of ``request`` is about to begin; return the number of its record.

        If it cannot be written, the file is emptied, and proves only whether the worker lives:
        any call may have begun.
        """
        self.open()
        if len(self._records) >= 2 * _KEPT * _RECORD.size:
            self._shorten()
        number = self._first + len(self._records) // _RECORD.size
        self._records += _packed(request, progress)
        self._write(number)
        return number

    def note(self, number: int, request: UUID, progress: CallProgress) -> None:
        """Write how far a call has come, in place of its record ``number``."""
        at = (number - self._first) * _RECORD.size
        if at >= 0:  # else it is too long ago
            self._records[at : at + _RECORD.size] = _packed(request, progress)
            self._write(number)

    def close(self) -> None:
        """Remove the file, at the end of the worker."""
        with suppress(OSError):
            _path(self.folder, self.worker).unlink(missing_ok=True)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, number: int) -> None:
        if self._file is None or self._broken_until:
            return
        at = (number - self._first) * _RECORD.size
        try:
            record = self._records[at : at + _RECORD.size]
            if os.pwrite(self._file, record, self._start + at) != _RECORD.size:
                raise OSError("a record was written in part")
        except OSError as error:
            self._give_up(error)

    def _shorten(self) -> None:
        dropped = len(self._records) // _RECORD.size - _KEPT
        del self._records[: dropped * _RECORD.size]
        self._first += dropped
        if self._file is not None and not self._broken_until:
            try:
                self._begin_file()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self._broken_until:
            logger.warning("Calls are not noted on disk (%s)", type(error).__name__)
        self._broken_until = time.monotonic() + _TRY_AGAIN_SECONDS
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, len(_boot_id()))  # takes no space on a full disk
                return
        self.close()

    def _begin_file(self) -> None:
        """Begin a new file with the records that there are, and put it in its place."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = _path(self.folder, self.worker)
        new = path.with_suffix(".new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            head = _boot_id() + b"\n"
            if os.write(file, head + self._records) != len(head) + len(self._records):
                raise OSError("the file was written in part")
            new.replace(path)
        except OSError:
            os.close(file)
            raise
        if self._file is not None:
            os.close(self._file)
        self._file, self._start, self._broken_until = file, len(head), 0.0


def proof_of(folder: Path, worker: str) -> Proof:
    """Return what the file of ``worker`` proves; nothing if it is of another machine or start."""
    try:
        with _path(folder, worker).open("rb") as file:
            content, boot = file.read(), _boot_id()
            emptied = content == boot
            if not emptied and not content.startswith(boot + b"\n"):
                return Proof()
            begun = None if emptied else _records(content)
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Proof(begun=begun)
            return Proof(dead=True, begun=begun)
    except OSError:
        return Proof()


def proof_forget(folder: Path, worker: str) -> None:
    """Remove the file of a dead worker that holds nothing any more."""
    with suppress(OSError):
        _path(folder, worker).unlink(missing_ok=True)


def proved_workers(folder: Path) -> list[str]:
    """Return the workers that have a file."""
    return [path.stem for path in folder.glob(f"*{_SUFFIX}")]


def _packed(request: UUID, progress: CallProgress) -> bytes:
    tokens_in, tokens_out, cost = progress
    return _RECORD.pack(
        request.bytes,
        min(tokens_in, _MOST_TOKENS),
        _NOT_SEEN if tokens_out is None else min(tokens_out, _MOST_TOKENS),
        min(int(cost / SMALLEST_USD), _MOST_UNITS),
    )


def _records(content: bytes) -> dict[bytes, _Record]:
    start = content.index(b"\n") + 1
    end = len(content) - (len(content) - start) % _RECORD.size
    return {r[0]: r[1:] for r in _RECORD.iter_unpack(content[start:end])}


def _boot_id() -> bytes:
    """Return what names this start of this machine; without it, no file is a proof."""
    return _BOOT_ID.read_bytes().strip()


def _path(folder: Path, worker: str) -> Path:
    return folder / f"{worker}{_SUFFIX}"
