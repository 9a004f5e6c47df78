"""Thousands of streams that are open at the same time in one worker: what each of them takes.

Each stream gets a token every few seconds, so that all are open together before the first ends. The
memory of a stream is what the worker has with all of them open and had before. Some streams go
through it first, so that its code and its pools are loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop
from rich.console import Console

from benchmarks.gateway.complete import free_port
from benchmarks.gateway.servers import LOAD_CORES, Server, started
from benchmarks.gateway.targets import NAMED_MODEL, ours, uvicorn_command, versions

_GAP_SECONDS = 3.0
_BEGUN_A_SECOND = 200
_WARM = 100


@dataclass
class StreamTally:
    """Counts streams by how far they are.

    ``late`` has, for each token after the first, milliseconds beyond the provider's gap.

    ``begun`` is set once ``count`` streams have had their first token or failed.
    """

    count: int
    open: int = 0
    ended: int = 0
    late: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def check_begun(self) -> None:
        """Set ``begun`` if every stream has begun."""
        if self.open + self.ended + len(self.errors) >= self.count:
            self.begun.set()


def run(options: argparse.Namespace, console: Console) -> None:
    """Open all streams, print what they take and whether each of them ended well."""
    count = options.streams
    console.print(f"[bold]{count:,} open streams[/bold], {versions()}, one worker")
    # A stream lasts until all have begun, and some tokens longer.
    tokens = int(count / _BEGUN_A_SECOND / _GAP_SECONDS) + 4
    pace = {"UPSTREAM_GAP_MS": str(_GAP_SECONDS * 1000)}
    room = {"MAX_CONCURRENT_REQUESTS": str(count + _WARM)}
    os.sched_setaffinity(0, LOAD_CORES)
    with tempfile.TemporaryDirectory() as temporary:
        folder, port = Path(temporary), free_port()
        command = uvicorn_command("benchmarks.gateway.upstream:application", port)
        with (
            started(command, port, pace, cores=LOAD_CORES) as upstream,
            ours(folder / "ours", upstream.url, **room) as server,
        ):
            lines = uvloop.run(_measure(server, count, tokens))
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    for line in lines:
        console.print(f"  {line}")
    if options.out:
        (options.out / "gateway-open-streams.md").write_text(
            "\n".join(f"- {line}" for line in lines) + "\n"
        )


async def _measure(server: Server, count: int, tokens: int) -> list[str]:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await asyncio.gather(
            *(_stream(session, server.url, 1, StreamTally(_WARM)) for _ in range(_WARM))
        )
        before, files = server.memory_mb(), server.open_files()
        tally, running = StreamTally(count), []
        for _ in range(count):
            running.append(asyncio.create_task(_stream(session, server.url, tokens, tally)))
            await asyncio.sleep(1 / _BEGUN_A_SECOND)
        await tally.begun.wait()
        most, full, opened = tally.open, server.memory_mb(), server.open_files()
        used, begun = server.cpu_seconds(), time.perf_counter()
        await asyncio.sleep(_GAP_SECONDS)
        used = (server.cpu_seconds() - used) / (time.perf_counter() - begun)
        await asyncio.gather(*running)
    late = sorted(tally.late)
    p50, p99 = (late[int(len(late) * share)] for share in (0.5, 0.99))
    each = (full - before) * 1024 / most
    failed = f"{len(tally.errors)} errors {tally.errors[:3] or ''}".rstrip()
    return [
        f"{most:,} open together, {tally.ended:,} ended whole, {failed}",
        f"memory {before:.0f} MB before, {full:.0f} with all open: {each:.0f} kB a stream",
        f"open files {files} before, {opened} with all open",
        f"{most / _GAP_SECONDS:,.0f} tokens a second take {used:.0%} of a core",
        f"tokens come {p50:.1f} ms later than the provider's gap at p50, {p99:.1f} at p99",
    ]


async def _stream(
    session: aiohttp.ClientSession, url: str, tokens: int, tally: StreamTally
) -> None:
    """Ask for one stream of ``tokens``, and read it to its end."""
    body = {
        "model": NAMED_MODEL, "max_tokens": tokens, "stream": True,
        "messages": [{"role": "user", "content": f"Tell me of country {os.urandom(8).hex()}."}],
    }  # fmt: skip
    last, end = 0.0, b""
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            if response.status != 200:
                tally.errors.append(f"{response.status} {(await response.read())[:100]!r}")
                return
            async for chunk, _ in response.content.iter_chunks():
                now, end = time.perf_counter(), (end + chunk)[-200:]
                if b'"content"' not in chunk:
                    continue
                if last:
                    tally.late.append((now - last - _GAP_SECONDS) * 1000)
                else:
                    tally.open += 1
                    tally.check_begun()
                last = now
    except (aiohttp.ClientError, TimeoutError) as error:
        tally.errors.append(type(error).__name__)
    else:
        if b"[DONE]" in end:
            tally.ended += 1
        else:
            tally.errors.append(f"cut off: {end!r}")
    finally:
        tally.open -= bool(last)
        tally.check_begun()
