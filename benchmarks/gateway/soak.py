"""A day's use in minutes: a steady share of the peak, and whether anything grows."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop
from rich.console import Console
from rich.progress import Progress

from benchmarks.gateway.servers import LOAD_CORES, Server
from benchmarks.gateway.targets import ours, upstream, versions

_SHARE = 0.8
_AT_ONCE = 64
_STREAMED_EACH = 10
_REPEATED_EACH = 4
_SAMPLED_EACH = 5.0
_PEAK_SAMPLES = 30


@dataclass
class Seen:
    """One sample each few seconds; latencies in milliseconds of all requests."""

    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)
    used: float = 0.0
    own: float = 0.0
    """Of a core, by the service and by what asks it: whoever is near 1 sets the pace."""
    latencies: list[float] = field(default_factory=list)
    answered: int = 0
    errors: list[str] = field(default_factory=list)


def run(options: argparse.Namespace, console: Console) -> None:
    console.print(f"[bold]Soak[/bold], {versions()}, {options.database or 'SQLite'}")
    shared = {"CACHE_URL": options.cache} if options.cache else {}
    os.sched_setaffinity(0, LOAD_CORES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with (
            upstream(folder / "up", 20) as url,
            ours(folder / "ours", url, database=options.database, **shared) as server,
        ):
            peak = uvloop.run(_peak(server))
            rate = peak * _SHARE
            console.print(
                f"  peak {peak:,.0f} requests/s; {options.minutes:g} minutes at {rate:,.0f}"
            )
            seen = uvloop.run(_soak(server, rate, options.minutes * 60, console))
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    _say(console, seen, options)


async def _peak(server: Server) -> float:
    """Requests a second of the same mix when each is followed by the next: the median of most
    of a minute, as databases write in bursts."""
    seen, rates, over = Seen(), [], False

    async def ask_on(session: aiohttp.ClientSession, number: int) -> None:
        while not over:
            number += _AT_ONCE
            await _ask(session, server.url, -number, seen)

    connector = aiohttp.TCPConnector(limit=_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:
        asking = [asyncio.create_task(ask_on(session, n)) for n in range(_AT_ONCE)]
        for _ in range(_PEAK_SAMPLES):
            before, begun = seen.answered, time.perf_counter()
            await asyncio.sleep(2)
            rates.append((seen.answered - before) / (time.perf_counter() - begun))
        over = True
        await asyncio.gather(*asking)
    return statistics.median(rates[5:])


async def _soak(server: Server, rate: float, seconds: float, console: Console) -> Seen:
    """Requests leave when their time has come, whether or not earlier ones are answered."""
    seen, number, running = Seen(), 0, set[asyncio.Task[None]]()
    connector = aiohttp.TCPConnector(limit=512)
    async with aiohttp.ClientSession(connector=connector) as session:
        begun = sampled = time.perf_counter()
        used, own = server.cpu_seconds(), time.process_time()
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("soaking", total=seconds)
            while (now := time.perf_counter()) - begun < seconds:
                while number < (now - begun) * rate:
                    number += 1
                    task = asyncio.create_task(_ask(session, server.url, number, seen))
                    running.add(task)
                    task.add_done_callback(running.discard)
                if now - sampled > _SAMPLED_EACH:
                    sampled = now
                    seen.memory.append(server.memory_mb())
                    seen.files.append(server.open_files())
                    seen.threads.append(server.threads())
                    seen.tasks.append(await _tasks(session, server))
                    progress.update(bar, completed=now - begun)
                await asyncio.sleep(0.002)
        took = time.perf_counter() - begun
        seen.used = (server.cpu_seconds() - used) / took
        seen.own = (time.process_time() - own) / took
        await asyncio.gather(*running)
    return seen


async def _tasks(session: aiohttp.ClientSession, server: Server) -> int:
    """On its event loop."""
    async with session.get(f"{server.url}/metrics") as response:
        text = await response.text()
    line = next(line for line in text.splitlines() if line.startswith("optimizer_tasks "))
    return int(float(line.split()[1]))


async def _ask(session: aiohttp.ClientSession, url: str, number: int, seen: Seen) -> None:
    """New questions and repeated ones, whole and streamed, as users mix them."""
    asked = number % 50 if number % _REPEATED_EACH == 0 else number
    body = {
        "model": "auto", "max_tokens": 20, "stream": number % _STREAMED_EACH == 0,
        "messages": [{"role": "user", "content": f"What is the capital of country {asked}?"}],
    }  # fmt: skip
    begun = time.perf_counter()
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            text = await response.read()
            if response.status != 200 or (body["stream"] and b"[DONE]" not in text):
                seen.errors.append(f"{response.status} {text[:100]!r}")
                return
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.errors.append(type(error).__name__)
        return
    seen.answered += 1
    seen.latencies.append((time.perf_counter() - begun) * 1000)


def _say(console: Console, seen: Seen, options: argparse.Namespace) -> None:
    # Caches fill up at first: what grows after the first third does not stop.
    third = len(seen.memory) // 3
    early, late = seen.memory[third : 2 * third], seen.memory[2 * third :]
    p50, p99 = (_at(seen.latencies, share) for share in (0.5, 0.99))
    then, end = statistics.median(early), statistics.median(late)
    lines = [
        f"{seen.answered:,} answered, {len(seen.errors)} errors {seen.errors[:3] or ''}".rstrip(),
        f"latency p50 {p50:.1f} ms, p99 {p99:.1f} ms (upstream 20 ms)",
        f"of a core: the service {seen.used:.0%}, the load generator {seen.own:.0%}",
        f"memory {seen.memory[0]:.0f} MB at first, then {then:.0f}, at the end {end:.0f}",
        f"open files {min(seen.files)} to {max(seen.files)}, at the end {seen.files[-1]}",
        f"threads {min(seen.threads)} to {max(seen.threads)}, at the end {seen.threads[-1]}",
        f"tasks {min(seen.tasks)} to {max(seen.tasks)}, at the end {seen.tasks[-1]}",
    ]
    for line in lines:
        console.print(f"  {line}")
    if options.out:
        (options.out / "gateway-soak.md").write_text("\n".join(f"- {x}" for x in lines) + "\n")


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
