"""One worker and two, each on a core of its own, sharing a database and Redis."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks.gateway.load import Load, drive
from benchmarks.gateway.targets import ours, upstream, versions

_AT_ONCE = 64


def run(options: argparse.Namespace, console: Console) -> None:
    """The load generator shares the cores, as there are no others; it needs little."""
    console.print(f"[bold]Workers[/bold], {versions()}, {options.database or 'SQLite'}")
    shared = {"CACHE_URL": options.cache} if options.cache else {}
    rates: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        url = stack.enter_context(upstream(folder / "up", 0))
        servers = {
            workers: stack.enter_context(
                ours(
                    folder / f"data-{(options.database and 'shared') or workers}",
                    url,
                    database=options.database,
                    workers=workers,
                    cores=set(range(workers)),
                    **shared,
                )
            )
            for workers in (1, 2)
        }
        for mode in ("miss", "hit"):
            found: dict[int, list[float]] = {1: [], 2: []}
            for server in servers.values():
                drive(server, Load(mode=mode), 8, 2)
            for _ in range(options.rounds):
                for workers, server in servers.items():
                    measured = drive(server, Load(mode=mode), _AT_ONCE, options.seconds)
                    found[workers].append(measured.rate)
            rates[mode] = {workers: statistics.median(found[workers]) for workers in (1, 2)}
            one, two = rates[mode][1], rates[mode][2]
            console.print(f"  {mode}: {one:,.0f} and {two:,.0f} requests/s, {two / one:.2f} times")
