"""Proof of which calls a worker began, in a file that outlives the worker.

A hold is made before its call, so a worker that dies leaves holds of which nobody knows whether
the provider was called. Each worker therefore writes the request's id to a file of its own
before the call. The file is locked as long as the worker lives: a process of the same machine
that gets the lock knows that the worker is dead. A write goes to the memory of the operating
system, which outlives the process but not the machine, so the file names the machine's start.
"""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

logger = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ID_BYTES = 16
_KEPT = 32_768
"""Ids that stay when a file is shortened: far more than a worker has requests in progress."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is proved about a worker: that it is dead, and the requests whose calls it began.

    ``begun`` is ``None`` if the calls are unknown, so that each may have begun.
    """

    dead: bool = False
    begun: frozenset[UUID] | None = None

    def may_have_begun(self, request: UUID) -> bool:
        """Return whether the call of ``request`` may have begun."""
        return self.begun is None or request in self.begun


@dataclass(slots=True)
class BegunCalls:
    """The file of this worker. Use it on one thread."""

    folder: Path
    worker: str
    _file: int | None = field(default=None, init=False)
    _written: int = field(default=0, init=False)
    _broken: bool = field(default=False, init=False)

    def open(self) -> None:
        """Begin the file before the first hold: what it does not name has not begun."""
        if self._file is None and not self._broken:
            try:
                self._begin_file()
            except OSError as error:
                self._give_up(error)

    def add(self, request: UUID) -> None:
        """Write that a call of ``request`` is about to begin.

        If it cannot be written, the file is emptied, and proves only whether the worker lives:
        any call may have begun.
        """
        self.open()
        if self._file is None or self._broken:
            return
        try:
            if self._written >= 2 * _KEPT:
                self._begin_file()
            if os.write(self._file, request.bytes) != _ID_BYTES:
                raise OSError("an id was written in part")
            self._written += 1
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Remove the file, at the end of the worker."""
        with suppress(OSError):
            _path(self.folder, self.worker).unlink(missing_ok=True)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        logger.warning("Calls are not noted on disk (%s)", type(error).__name__)
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, len(_boot_id()))  # takes no space on a full disk
                return
        self.close()

    def _begin_file(self) -> None:
        """Begin a new file, with the last ids of the one before it, and put it in its place."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = _path(self.folder, self.worker)
        kept = _ids_in(path.read_bytes())[-_KEPT * _ID_BYTES :] if self._file is not None else b""
        new = path.with_suffix(".new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = _boot_id() + b"\n" + kept
            if os.write(file, content) != len(content):
                raise OSError("the file was written in part")
            new.replace(path)
        except OSError:
            os.close(file)
            raise
        if self._file is not None:
            os.close(self._file)
        self._file, self._written = file, len(kept) // _ID_BYTES


def proof_of(folder: Path, worker: str) -> Proof:
    """Return what the file of ``worker`` proves; nothing if it is of another machine or start."""
    try:
        with _path(folder, worker).open("rb") as file:
            content, boot = file.read(), _boot_id()
            emptied = content == boot
            if not emptied and not content.startswith(boot + b"\n"):
                return Proof()
            begun = None if emptied else _requests(content)
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
    return [path.stem for path in folder.glob("*.calls")]


def _requests(content: bytes) -> frozenset[UUID]:
    ids = _ids_in(content)
    whole = len(ids) - len(ids) % _ID_BYTES
    return frozenset(UUID(bytes=ids[at : at + _ID_BYTES]) for at in range(0, whole, _ID_BYTES))


def _ids_in(content: bytes) -> bytes:
    return content[content.index(b"\n") + 1 :]


def _boot_id() -> bytes:
    """Return what names this start of this machine; without it, no file is a proof."""
    return _BOOT_ID.read_bytes().strip()


def _path(folder: Path, worker: str) -> Path:
    return folder / f"{worker}.calls"
