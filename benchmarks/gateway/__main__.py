"""The command: python -m benchmarks.gateway --help."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.gateway import growth, open_streams, report, scaling, soak, steady, streams
from benchmarks.gateway.load import Measured, drive
from benchmarks.gateway.targets import all_targets, missing_tools, upstream, versions


def throughput(options: argparse.Namespace, console: Console, latency_ms: int) -> None:
    console.print(f"[bold]Upstream of {latency_ms} ms[/bold], {versions()}")
    with (
        tempfile.TemporaryDirectory() as folder,
        upstream(Path(folder) / "up", latency_ms) as url,
        all_targets(
            Path(folder),
            url,
            database=options.database,
            litellm_venv=None if options.no_litellm else options.litellm,
            portkey_prefix=None if options.no_portkey else options.portkey,
        ) as targets,
    ):
        for target in targets:
            drive(target.server, target.load, 8, 2)
        runs: dict[int, dict[str, list[Measured]]] = {}
        for connections in options.concurrency:
            by_target = runs.setdefault(connections, {target.name: [] for target in targets})
            for number in range(options.rounds):
                for target in targets:
                    console.print(f"  {connections}, round {number + 1}: {target.name}")
                    by_target[target.name].append(
                        drive(target.server, target.load, connections, options.seconds)
                    )
    rows = report.rows_of(runs, latency_ms)
    report.show(console, f"One process on one core, upstream of {latency_ms} ms", rows)
    for line in report.against_peers(runs):
        console.print(line)
    if options.out:
        stem = options.out / f"gateway-{latency_ms}ms"
        stem.with_suffix(".md").write_text(report.as_markdown(rows))
        stem.with_suffix(".json").write_text(
            json.dumps(
                {
                    str(connections): {
                        name: [run.as_dict() for run in measured]
                        for name, measured in by_target.items()
                    }
                    for connections, by_target in runs.items()
                },
                indent=1,
            )
        )
        title = f"One process on one core, upstream of {latency_ms} ms"
        report.draw(runs, title, stem.with_suffix(".png"))


_OTHERS = {
    "streams": streams.run,
    "open_streams": open_streams.run,
    "scaling": scaling.run,
    "growth": growth.run,
    "soak": soak.run,
    "steady": steady.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway",
        description="This service beside LiteLLM, Portkey, nginx and Python's bounds, in one run.",
    )
    every = ("throughput", *_OTHERS)
    parser.add_argument(
        "what", nargs="*", metavar="what", help=f"of {', '.join(every)} (default: the first)"
    )
    parser.add_argument("--latency", type=int, nargs="+", default=[0, 50], help="of the upstream")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--seconds", type=float, default=5, help="a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[10_000, 10_000_000], help="of growth (%(default)s)"
    )
    parser.add_argument("--minutes", type=float, default=10, help="of the soak (%(default)s)")
    parser.add_argument(
        "--streams", type=int, default=5000, help="open at the same time (%(default)s)"
    )
    parser.add_argument("--database", help="URL of an empty database; default SQLite")
    parser.add_argument("--cache", default="", help="URL of a Redis, for scaling and soak")
    parser.add_argument(
        "--share",
        type=float,
        help="of a core, for each worker of scaling (as root); default a core of its own",
    )
    parser.add_argument(
        "--litellm",
        type=Path,
        default=Path(".venv-litellm"),
        help="its environment; made if absent",
    )
    parser.add_argument("--no-litellm", action="store_true", help="leave it out")
    parser.add_argument(
        "--portkey",
        type=Path,
        default=Path(".node-portkey"),
        help="where npm installs Portkey's gateway; made if absent",
    )
    parser.add_argument("--no-portkey", action="store_true", help="leave it out (it needs Node.js)")
    parser.add_argument("--out", type=Path, help="folder for tables, figures and pictures")
    options = parser.parse_args()
    # Not by ``choices``: up to Python 3.11 those are looked for a default too, as a whole.
    if unknown := set(options.what) - set(every):
        parser.error(f"there is no {', '.join(sorted(unknown))}, but {', '.join(every)}")
    options.what = options.what or [every[0]]
    if "growth" in options.what and not options.database:
        parser.error("growth needs --database: a PostgreSQL where it may make two more")
    if missing := missing_tools():
        sys.exit(f"This benchmark needs {' and '.join(missing)} (apt install {' '.join(missing)}).")
    if (os.cpu_count() or 1) < 2:
        sys.exit("This benchmark needs two cores: one for the servers, one for what asks them.")
    console = Console(highlight=False, width=140)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    if "throughput" in options.what:
        for latency_ms in options.latency:
            throughput(options, console, latency_ms)
    for what, run in _OTHERS.items():
        if what in options.what:
            run(options, console)


if __name__ == "__main__":
    main()
