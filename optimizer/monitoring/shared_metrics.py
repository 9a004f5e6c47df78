"""Metrics of several workers, told by whichever of them is asked."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optimizer.monitoring.prometheus import SHARED_FOLDER, is_alive

_PREFIX = "optimizer-metrics-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder that nobody else can read is made in it


@contextmanager
def metrics_shared() -> Iterator[None]:
    """For workers begun inside: they count in files of one folder, from nothing.

    Workers replaced by others leave what they counted, so counters never fall. The files are
    mapped into memory, where a disk that is full would end the process that writes; so they
    are in memory where the system has a place for that.
    """
    if os.environ.get(SHARED_FOLDER):
        yield  # the operator has a place for them
        return
    where = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _clear_away(where)
    with tempfile.TemporaryDirectory(
        prefix=f"{_PREFIX}{os.getpid()}-", dir=where, ignore_cleanup_errors=True
    ) as folder:
        os.environ[SHARED_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[SHARED_FOLDER]


def _clear_away(where: Path) -> None:
    """What services that were killed have left."""
    for folder in where.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
