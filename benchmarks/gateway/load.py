"""One run of wrk against one server."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.gateway.servers import LOAD_CORES, Server

_SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True)
class Load:
    """``wire`` is complete or chat, ``mode`` hit or miss; ``headers`` are sent beside the usual."""

    wire: str = "chat"
    mode: str = "miss"
    model: str = "auto"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Measured:
    """``rate`` in requests a second, percentiles and ``cpu`` (of the server, a request) in
    milliseconds, ``memory`` in MB, ``errors`` in all."""

    rate: float
    p50: float
    p95: float
    p99: float
    cpu: float
    memory: float
    errors: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def drive(server: Server, load: Load, connections: int, seconds: float) -> Measured:
    before = server.cpu_seconds()
    run = subprocess.run(
        [
            "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "20s",
            *(part for name, value in load.headers for part in ("-H", f"{name}: {value}")),
            "-s", str(_SCRIPT), server.url, "--", load.wire, load.mode, load.model,
        ],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, LOAD_CORES),
    )  # fmt: skip
    used = server.cpu_seconds() - before
    line = next(line for line in run.stdout.splitlines() if line.startswith("RESULT"))
    requests, duration, p50, p95, p99, errors = (int(n) for n in line.split()[1:])
    return Measured(
        requests / duration * 1e6,
        p50 / 1000,
        p95 / 1000,
        p99 / 1000,
        used / max(requests, 1) * 1000,
        server.memory_mb(),
        errors,
    )


def median(runs: Sequence[Measured]) -> Measured:
    """Figure by figure; errors are added."""
    middle = {
        name: statistics.median(getattr(run, name) for run in runs)
        for name in ("rate", "p50", "p95", "p99", "cpu", "memory")
    }
    return Measured(**middle, errors=sum(run.errors for run in runs))
