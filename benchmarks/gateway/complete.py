"""`make benchmark`: /complete beside a bare Django view, in the same run.

Each server is one uvicorn worker. The load generator is wrk; the upstream
answers at once. Runs are interleaved, so that a noisy moment hits all alike;
the median of the rounds is shown. Only the ratios travel between machines.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True)
class Measured:
    """``rate`` in requests a second, percentiles in milliseconds."""

    rate: float
    p50: float
    p99: float
    errors: int


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def served(app: str, environment: dict[str, str]) -> Iterator[str]:
    """One uvicorn worker; yields its base URL and stops it in the end."""
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning",
            "--no-access-log",
        ],
        cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1)
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield url
    finally:
        process.terminate()
        process.wait(30)


def drive(url: str, mode: str, connections: int, seconds: int) -> Measured:
    """One wrk run."""
    output = subprocess.run(
        [
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
            "-s", str(SCRIPT), url, "--", "complete", mode,
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout  # fmt: skip
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    requests, duration, p50, _, p99, errors = (int(n) for n in line.split()[1:])
    return Measured(requests / duration * 1e6, p50 / 1000, p99 / 1000, errors)


def median(runs: list[Measured]) -> Measured:
    return Measured(
        statistics.median(r.rate for r in runs),
        statistics.median(r.p50 for r in runs),
        statistics.median(r.p99 for r in runs),
        sum(r.errors for r in runs),
    )


def rows_of(
    table: Table, connections: int, runs: dict[str, list[Measured]], reference: str
) -> None:
    """The medians of each target's runs, as a share of the ``reference``'s rate."""
    base = median(runs[reference]).rate
    for name, measured in runs.items():
        m = median(measured)
        table.add_row(
            str(connections), name, f"{m.rate:.0f}", f"{m.rate / base:.2f}",
            f"{m.p50:.2f}", f"{m.p99:.2f}", str(m.errors),
        )  # fmt: skip


def service_environment(upstream: str, folder: str, database: str | None) -> dict[str, str]:
    keys = {name: "" for name in os.environ if name.endswith("_API_KEY")}
    return {
        **keys,
        "ENV_FILE": os.devnull,
        "DJANGO_SETTINGS_MODULE": "optimizer.settings",
        "DATA_DIR": folder,
        "DATABASE_URL": database or f"sqlite:///{folder}/db.sqlite3",
        "GROQ_API_KEY": "benchmark",
        "GROQ_BASE_URL": upstream,
        "LOG_LEVEL": "WARNING",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument("--database", help="URL of an empty database; default SQLite")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This benchmark needs wrk (apt install wrk).")
    console = Console(highlight=False)
    packages = ", ".join(f"{p} {version(p)}" for p in ("django", "uvicorn", "httpx", "aiohttp"))
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {packages}")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        upstream = stack.enter_context(served("benchmarks.gateway.upstream:application", {}))
        environment = service_environment(upstream, folder, options.database)
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"],
            cwd=ROOT, env={**os.environ, **environment}, check=True,
        )  # fmt: skip
        service = stack.enter_context(served("optimizer.asgi:application", environment))
        bare = stack.enter_context(served("benchmarks.gateway.bare:application", {}))
        targets = {
            "bare Django view": (bare, "hit"),
            "/complete, hit": (service, "hit"),
            "/complete, miss": (service, "miss"),
        }
        for url, mode in targets.values():
            drive(url, mode, 8, 2)
        table = Table(title="one worker each")
        for heading in (
            "concurrency",
            "target",
            "requests/s",
            "of bare",
            "p50 ms",
            "p99 ms",
            "errors",
        ):
            table.add_column(heading, justify="left" if heading == "target" else "right")
        for connections in (1, 16, 64):
            runs: dict[str, list[Measured]] = {name: [] for name in targets}
            for _ in range(options.rounds):
                for name, (url, mode) in targets.items():
                    runs[name].append(drive(url, mode, connections, options.seconds))
            rows_of(table, connections, runs, "bare Django view")
    console.print(table)


if __name__ == "__main__":
    main()
