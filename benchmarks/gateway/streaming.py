"""python -m benchmarks.gateway.streaming: what the gateway adds to a stream.

The same stream is asked for directly, through a Django view that only passes
bytes on, and through the service with routing, pricing and ledger on; in turn,
so that a noisy moment hits all alike. Each server is one worker. Memory is the
service's resident set before and after streams of 10 000 tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from benchmarks.gateway.complete import ROOT, served, service_environment

_numbers = itertools.count()


@dataclass
class Streams:
    """Seconds to the first token, and tokens a second of a whole round, of each."""

    first: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


async def read_stream(session: aiohttp.ClientSession, url: str, tokens: int) -> float:
    """Seconds to the first token of a stream that is read to its end."""
    prompt = f"What is the capital of country {next(_numbers)}?"
    body = {
        "model": "auto", "stream": True, "max_tokens": tokens,
        "messages": [{"role": "user", "content": prompt}],
    }  # fmt: skip
    begun, first, seen = time.perf_counter(), 0.0, 0
    async with session.post(url, json=body) as response:
        async for line in response.content:
            if b'"content":" token' in line or b'"content": " token' in line:
                seen += 1
                first = first or time.perf_counter() - begun
    assert seen == tokens, f"{seen} of {tokens} tokens came"
    return first


async def round_of(url: str, tokens: int, at_once: int, found: Streams) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        begun = time.perf_counter()
        firsts = await asyncio.gather(*(read_stream(session, url, tokens) for _ in range(at_once)))
        found.rates.append(at_once * tokens / (time.perf_counter() - begun))
        found.first += firsts


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def child_of(url: str) -> int:
    """The process that listens on the URL's port."""
    port = url.rpartition(":")[2]
    found = subprocess.run(
        ["pgrep", "-f", "--", f"--port {port}"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def compare(
    urls: dict[str, str], tokens: int, at_once: int, rounds: int
) -> dict[str, Streams]:
    found = {name: Streams() for name in urls}
    for _ in range(rounds):
        for name, url in urls.items():
            await round_of(url, tokens, at_once, found[name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway.streaming", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=30, help="of each (%(default)s)")
    options = parser.parse_args()
    console = Console(highlight=False, width=110)
    packages = ", ".join(f"{p} {version(p)}" for p in ("django", "uvicorn", "httpx", "aiohttp"))
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {packages}")
    paced = {"UPSTREAM_FIRST_MS": "50", "UPSTREAM_GAP_MS": "5"}
    for title, pace, tokens in (
        ("first token after 50 ms, then one each 5 ms; 60 tokens", paced, 60),
        ("as fast as can be; 500 tokens", {}, 500),
    ):
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            upstream = stack.enter_context(served("benchmarks.gateway.upstream:application", pace))
            environment = service_environment(upstream, folder, None)
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "-v0"],
                cwd=ROOT, env={**os.environ, **environment}, check=True,
            )  # fmt: skip
            service = stack.enter_context(served("optimizer.asgi:application", environment))
            passed = stack.enter_context(
                served(
                    "benchmarks.gateway.passthrough:application",
                    {"UPSTREAM": f"{upstream}/chat/completions"},
                )
            )
            urls = {
                "direct": f"{upstream}/chat/completions",
                "Django pass-through": f"{passed}/v1/chat/completions",
                "service": f"{service}/v1/chat/completions",
            }
            asyncio.run(compare(urls, tokens, 2, 3))
            table = Table(title=title)
            for heading in ("at once", "target", "first token p50 ms", "p95 ms", "added p50 ms",
                            "added p95 ms", "tokens/s", "of direct"):  # fmt: skip
                table.add_column(heading, justify="left" if heading == "target" else "right")
            for at_once in (1, 16, 64):
                rounds = max(5, options.rounds // at_once)
                found = asyncio.run(compare(urls, tokens, at_once, rounds))
                base = found["direct"]
                for name, streams in found.items():
                    rate = statistics.median(streams.rates)
                    p50, p95 = (percentile(streams.first, share) * 1000 for share in (0.5, 0.95))
                    base50, base95 = (percentile(base.first, s) * 1000 for s in (0.5, 0.95))
                    table.add_row(
                        str(at_once), name, f"{p50:.1f}", f"{p95:.1f}", f"{p50 - base50:.1f}",
                        f"{p95 - base95:.1f}", f"{rate:.0f}",
                        f"{rate / statistics.median(base.rates):.2f}",
                    )  # fmt: skip
            console.print(table)
            if not pace:
                show_memory(console, child_of(service), urls["service"])


def show_memory(console: Console, pid: int, url: str) -> None:
    sizes = []
    for _ in range(6):
        sizes.append(resident_mib(pid))
        asyncio.run(round_of(url, 10_000, 8, Streams()))
    console.print(
        "Resident MiB of the service, eight streams of 10 000 tokens between two readings: "
        + ", ".join(f"{size:.1f}" for size in sizes)
    )


if __name__ == "__main__":
    main()
