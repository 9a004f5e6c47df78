"""Servers on a core of their own, and what they use of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.complete import ROOT

SERVER_CORES = {0}
LOAD_CORES = {(os.cpu_count() or 1) - 1}
_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 120
UNSET = "(unset)"


@dataclass(frozen=True)
class Server:
    url: str
    pid: int

    def processes(self) -> list[int]:
        """Its own and those below it."""
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    todo += map(int, (task / "children").read_text().split())
        return found

    def cpu_seconds(self) -> float:
        total = 0.0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / _TICKS
        return total

    def memory_mb(self) -> float:
        """Resident, in megabytes."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmRSS:"):
                        total += int(line.split()[1])
        return total / 1024

    def open_files(self) -> int:
        """File descriptors: connections, files, pipes."""
        return self._count("fd")

    def threads(self) -> int:
        return self._count("task")

    def _count(self, folder: str) -> int:
        """What the processes have in a folder of /proc."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                total += len(list(Path(f"/proc/{pid}/{folder}").iterdir()))
        return total


@contextmanager
def started(
    command: Sequence[str],
    port: int,
    environment: Mapping[str, str] | None = None,
    *,
    cores: set[int] = SERVER_CORES,
    ready: str = "/health",
) -> Iterator[Server]:
    """The command's server once something answers at ``ready``; ended with all below it."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={k: v for k, v in {**os.environ, **(environment or {})}.items() if v != UNSET},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}{ready}", process)
        yield Server(url, process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: {process.args!r}")
        try:
            urllib.request.urlopen(url, timeout=2)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"nothing answered at {url}")
