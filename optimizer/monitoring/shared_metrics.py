"""Metrics of several workers, so that any of them can return the sum of all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optimizer.monitoring.prometheus import SHARED_FOLDER, is_alive

_PREFIX = "optimizer-metrics-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is created in it


@contextmanager
def metrics_shared() -> Iterator[None]:
    """Let workers that are started inside share their counts, starting at zero.

    The counts are files in one folder. A replaced worker leaves its counts there, so counters
    never decrease. The files are mapped into memory, and a full disk would end the process
    that writes to them, so they are stored in memory (/dev/shm) if the system has it.
    """
    if os.environ.get(SHARED_FOLDER):
        yield  # the operator has set a folder
        return
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _remove_leftovers(parent)
    with tempfile.TemporaryDirectory(
        prefix=f"{_PREFIX}{os.getpid()}-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        os.environ[SHARED_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[SHARED_FOLDER]


def _remove_leftovers(parent: Path) -> None:
    """Remove the folders of services that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
