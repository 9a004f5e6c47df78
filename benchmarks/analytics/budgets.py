"""What holding budgets costs: /complete without any, beside one and three that hold.

Two services, each one uvicorn worker with a database of its own, driven in turn
by wrk; every request is a miss. Only the ratio travels between machines.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack

from rich.console import Console
from rich.table import Table

from benchmarks.gateway.complete import ROOT, Measured, drive, rows_of, served, service_environment

_BUDGETS = {
    "none": [],
    "one": [["all"]],
    "three": [["all"], ["users", "--scope", "user", "--period", "day"],
              ["groq", "--scope", "provider", "--rolling", "1440"]],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    options = parser.parse_args()
    table = Table("concurrency", "budgets", "requests/s", "of none", "p50 ms", "p99 ms", "errors")
    with ExitStack() as stack:
        upstream = stack.enter_context(served("benchmarks.gateway.upstream:application", {}))
        targets = {}
        for name, budgets in _BUDGETS.items():
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            environment = service_environment(upstream, folder, None)
            for command in (["migrate", "-v0"], *(_add(budget) for budget in budgets)):
                subprocess.run(
                    [sys.executable, "manage.py", *command],
                    cwd=ROOT, env={**os.environ, **environment}, check=True,
                    stdout=subprocess.DEVNULL,
                )  # fmt: skip
            targets[name] = stack.enter_context(served("optimizer.asgi:application", environment))
            drive(targets[name], "miss", 8, 2)
        for connections in (1, 16, 64):
            runs: dict[str, list[Measured]] = {name: [] for name in targets}
            for _ in range(options.rounds):
                for name, url in targets.items():
                    runs[name].append(drive(url, "miss", connections, options.seconds))
            rows_of(table, connections, runs, "none")
    Console(highlight=False).print(table)


def _add(budget: list[str]) -> list[str]:
    return ["budgets", "add", *budget, "--limit", "100000"]


if __name__ == "__main__":
    main()
