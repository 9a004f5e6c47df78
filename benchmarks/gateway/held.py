"""Processes held to a share of a core each (Linux control groups, as root)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 10_000
"""Microseconds: as short as it can be for a share that is still taken evenly."""


@contextmanager
def held(pids: Sequence[int], share: float) -> Iterator[None]:
    """Each of them, with all its threads, to ``share`` of a core's time.

    Raises :class:`OSError` where groups cannot be made.
    """
    quota = int(share * _PERIOD)
    with ExitStack() as stack:
        for pid in pids:
            old = (_ROOT / "cpu").is_dir()
            folder = (_ROOT / "cpu" if old else _ROOT) / f"held-{os.getpid()}-{pid}"
            folder.mkdir()
            stack.callback(_free, folder)
            if old:
                (folder / "cpu.cfs_period_us").write_text(str(_PERIOD))
                (folder / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (folder / "cpu.max").write_text(f"{quota} {_PERIOD}")
            (folder / "cgroup.procs").write_text(str(pid))
        yield


def _free(folder: Path) -> None:
    for pid in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            (folder.parent / "cgroup.procs").write_text(pid)
    folder.rmdir()
