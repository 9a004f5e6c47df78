"""Streams: what each target adds to the first token, and how many tokens it passes on."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.gateway.complete import free_port
from benchmarks.gateway.servers import LOAD_CORES, started
from benchmarks.gateway.streaming import compare, percentile
from benchmarks.gateway.targets import LITELLM, OURS, litellm, ours, uvicorn_command, versions

_PACES = (
    ("first token after 50 ms, then one each 5 ms; 60 tokens",
     {"UPSTREAM_FIRST_MS": "50", "UPSTREAM_GAP_MS": "5"}, 60),
    ("as fast as can be; 300 tokens", {}, 300),
)  # fmt: skip


def run(options: argparse.Namespace, console: Console) -> None:
    console.print(f"[bold]Streams[/bold], {versions()}")
    os.sched_setaffinity(0, LOAD_CORES)
    lines = []
    for title, pace, tokens in _PACES:
        with tempfile.TemporaryDirectory() as temporary:
            folder, port = Path(temporary), free_port()
            command = uvicorn_command("benchmarks.gateway.upstream:application", port)
            with (
                started(command, port, pace, cores=LOAD_CORES) as upstream,
                ours(folder / "ours", upstream.url) as service,
            ):
                urls = {"directly": upstream.url, OURS: service.url}
                if options.no_litellm:
                    lines += _measure(console, title, urls, tokens, options.rounds)
                else:
                    with litellm(folder / "peer", upstream.url, options.litellm) as peer:
                        urls[LITELLM] = peer.url
                        lines += _measure(console, title, urls, tokens, options.rounds)
    if options.out:
        (options.out / "gateway-streams.md").write_text("\n".join(lines) + "\n")
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


def _measure(
    console: Console, title: str, urls: dict[str, str], tokens: int, rounds: int
) -> list[str]:
    paths = {name: f"{url}/v1/chat/completions" for name, url in urls.items()}
    headings = ("at a time", "target", "first token p50 ms", "p95", "p99", "tokens/s")
    table = Table(title=title)
    lines = [f"**{title}**", "", f"| {' | '.join(headings)} |", "|" + " --- |" * len(headings)]
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "target" else "right")
    for at_once in (1, 16, 64):
        found = asyncio.run(compare(paths, tokens, at_once, rounds))
        for name, streams in found.items():
            firsts = [f"{percentile(streams.first, p) * 1000:.1f}" for p in (0.5, 0.95, 0.99)]
            rate = f"{percentile(streams.rates, 0.5):,.0f}"
            row = [str(at_once), name, *firsts, rate]
            table.add_row(*row)
            lines.append(f"| {' | '.join(row)} |")
    console.print(table)
    return [*lines, ""]
