"""Latency under a load that does not wait: at a fifth and at four fifths of the peak.

Closed loops hide how long requests queue: who waits for an answer asks no more meanwhile. Here
requests leave on a schedule of random gaps (a Poisson process), and a latency counts from the time
at which its request was due.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop
from rich.console import Console

from benchmarks.gateway.load import Load, drive
from benchmarks.gateway.servers import LOAD_CORES, Server
from benchmarks.gateway.targets import NAMED_MODEL, ours, upstream, versions

_SHARES = (0.2, 0.8)
_AT_ONCE = 64
_WARM_SECONDS = 3.0


@dataclass
class Latencies:
    """Milliseconds from when each request was due; ``own`` and ``used`` are shares of a core."""

    values: list[float] = field(default_factory=list)
    errors: int = 0
    own: float = 0.0
    used: float = 0.0

    def at(self, share: float) -> float:
        """Return the latency that ``share`` of the requests do not exceed."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def run(options: argparse.Namespace, console: Console) -> None:
    """Measure the peak, then both loads; print the latencies and their ratios."""
    console.print(f"[bold]Steady load[/bold], {versions()}, {options.database or 'SQLite'}")
    os.sched_setaffinity(0, LOAD_CORES)
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with (
            upstream(folder / "up", 0) as url,
            ours(folder / "ours", url, database=options.database) as server,
        ):
            for model in ("auto", NAMED_MODEL):
                load = Load(model=model)
                drive(server, load, 8, 2)
                peaks = [drive(server, load, _AT_ONCE, options.seconds).rate for _ in range(3)]
                peak = statistics.median(peaks)
                seen = {
                    share: uvloop.run(_measure(server, model, peak * share, options.seconds))
                    for share in _SHARES
                }
                lines += _lines(model, peak, seen)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    for line in lines:
        console.print(f"  {line}")
    if options.out:
        (options.out / "gateway-steady.md").write_text("\n".join(f"- {x}" for x in lines) + "\n")


async def _measure(server: Server, model: str, rate: float, seconds: float) -> Latencies:
    """Send ``rate`` requests a second, for some seconds that do not count and then ``seconds``."""
    await _send(server, model, rate, _WARM_SECONDS)
    used, own, begun = server.cpu_seconds(), time.process_time(), time.perf_counter()
    seen = await _send(server, model, rate, max(seconds, 2.0) * 3)
    took = time.perf_counter() - begun
    seen.used = (server.cpu_seconds() - used) / took
    seen.own = (time.process_time() - own) / took
    return seen


async def _send(server: Server, model: str, rate: float, seconds: float) -> Latencies:
    seen, running = Latencies(), set[asyncio.Task[None]]()
    draw, run_id = random.Random(4), random.randrange(10**9)
    connector = aiohttp.TCPConnector(limit=1024)
    async with aiohttp.ClientSession(connector=connector) as session:
        begun = time.perf_counter()
        due, number = begun, 0
        while due - begun < seconds:
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            number += 1
            prompt = f"What is the capital of country {run_id}.{number}?"
            task = asyncio.create_task(_ask(session, server.url, model, prompt, due, seen))
            running.add(task)
            task.add_done_callback(running.discard)
            due += draw.expovariate(rate)
        await asyncio.gather(*running)
    return seen


async def _ask(
    session: aiohttp.ClientSession, url: str, model: str, prompt: str, due: float, seen: Latencies
) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            await response.read()
            seen.errors += response.status != 200
    except (aiohttp.ClientError, TimeoutError):
        seen.errors += 1
    seen.values.append((time.perf_counter() - due) * 1000)


def _lines(model: str, peak: float, seen: dict[float, Latencies]) -> list[str]:
    low, high = (seen[share] for share in _SHARES)
    lines = [f"{model}: peak {peak:,.0f} requests/s at {_AT_ONCE} at a time"]
    for share, one in seen.items():
        lines.append(
            f"{model} at {share:.0%}: {peak * share:,.0f} requests/s, p50 {one.at(0.5):.1f} ms, "
            f"p95 {one.at(0.95):.1f}, p99 {one.at(0.99):.1f}, p99/p50 "
            f"{one.at(0.99) / one.at(0.5):.1f}, {one.errors} errors; of a core: the service "
            f"{one.used:.0%}, the load generator {one.own:.0%}"
        )
    ratio = high.at(0.5) / low.at(0.5)
    lines.append(f"{model}: p50 at {_SHARES[1]:.0%} is {ratio:.1f} times that at {_SHARES[0]:.0%}")
    return lines
