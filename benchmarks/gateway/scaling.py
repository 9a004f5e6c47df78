"""One worker and two that share a database and Redis.

Either each has a core of its own, or each is held to a share of one, so that
database, Redis, provider and load generator have what they need on a machine
with few cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks.gateway.held import held
from benchmarks.gateway.load import Load, Measured, drive, median
from benchmarks.gateway.targets import ours, upstream, versions

_AT_ONCE = 64
"""For each worker."""
_WORKERS = (1, 2)


def run(options: argparse.Namespace, console: Console) -> None:
    share = f", {options.share:g} of a core each" if options.share else ""
    console.print(f"[bold]Workers{share}[/bold], {versions()}, {options.database or 'SQLite'}")
    shared = {"CACHE_URL": options.cache} if options.cache else {}
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
                    cores=set(range((options.share and os.cpu_count()) or workers)),
                    **shared,
                )
            )
            for workers in _WORKERS
        }
        if options.share:
            for server in servers.values():
                stack.enter_context(held(server.processes(), options.share))
        for mode in ("miss", "hit"):
            found: dict[int, list[Measured]] = {workers: [] for workers in _WORKERS}
            for server in servers.values():
                drive(server, Load(mode=mode), 8, 2)
            for _ in range(options.rounds):
                for workers, server in servers.items():
                    measured = drive(server, Load(mode=mode), workers * _AT_ONCE, options.seconds)
                    found[workers].append(measured)
            one, two = (median(found[workers]) for workers in _WORKERS)
            console.print(
                f"  {mode}: {one.rate:,.0f} and {two.rate:,.0f} requests/s,"
                f" {two.rate / one.rate:.2f} times; {one.errors + two.errors} errors"
            )
