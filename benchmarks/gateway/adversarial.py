"""python -m benchmarks.gateway.adversarial: how long requests of odd shapes hold the event loop.

The service runs in this process against a fake provider. While each request is served, a timer
ticks each millisecond. Shown is the longest time between two ticks: by the clock (others wait so
long, also if a thread keeps the interpreter), and in CPU time of the event loop's thread (what
the request itself did there), with the place where it was then. Each request is sent
``--repeat`` times, of which the least counts: what else the machine does delays only some.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.gateway.complete import ROOT
from benchmarks.gateway.in_process import post, prepared, running
from benchmarks.gateway.odd_shapes import CATALOGUE, SHAPES, Shape, request

_TICK = 0.001
_OURS = tuple(f"{ROOT}/{name}/" for name in ("optimizer", "providers", "analytics", "routing"))


class LoopWatch:
    """The longest time between two ticks of this thread's event loop, and where it was then."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.place = ""
        self._at, self._cpu = time.perf_counter(), time.thread_time()
        self._late = 0.0
        self._place = ""
        self._thread = threading.get_ident()
        self._over = threading.Event()

    async def tick(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(_TICK)
            at, cpu = time.perf_counter(), time.thread_time()
            self.cpu = max(self.cpu, cpu - self._cpu)
            if at - self._at - _TICK > self.wall:
                self.wall, self.place = at - self._at - _TICK, self._place
            self._at, self._cpu, self._late, self._place = at, cpu, 0.0, ""

    def look(self) -> None:
        """Note, on a thread of its own, where the event loop is when it is late."""
        while not self._over.wait(0.004):
            late = time.perf_counter() - self._at
            if late > 0.012 and late > self._late:
                self._late = late
                frames = sys._current_frames()
                own = _place(frames.pop(self._thread))
                self._place = own or next(filter(None, map(_place, frames.values())), "")

    def stop(self) -> None:
        self._over.set()


def _place(frame: FrameType) -> str:
    frames = traceback.extract_stack(frame)
    ours = [f for f in frames if f.filename.startswith(_OURS)]
    if not ours:
        return ""
    return f"{ours[-1].filename.removeprefix(f'{ROOT}/')}:{ours[-1].lineno} {ours[-1].name}"


@dataclass
class Pause:
    """The longest pause of the event loop while one request was served, in milliseconds."""

    path: str
    model: str
    shape: str
    status: int
    seconds: float
    wall: float
    cpu: float
    place: str

    def cells(self) -> list[str]:
        return [
            self.path, self.model, self.shape, str(self.status), f"{self.seconds:.1f}",
            f"{self.wall:.0f}", f"{self.cpu:.1f}", self.place if self.wall > 20 else "",
        ]  # fmt: skip


HEADINGS = ("path", "model", "shape", "status", "s", "pause, ms", "CPU, ms", "where")


async def pause_of(app: Any, path: str, raw: bytes) -> tuple[int, float, LoopWatch]:
    """The status and seconds of one request, and what was seen of the loop meanwhile."""
    watch = LoopWatch()
    ticking = asyncio.create_task(watch.tick())
    looking = threading.Thread(target=watch.look)
    looking.start()
    await asyncio.sleep(0.02)
    watch.wall = watch.cpu = 0.0
    began = time.perf_counter()
    status, _ = await post(app, path, raw)
    seconds = time.perf_counter() - began
    await asyncio.sleep(0.2)  # what is done after the answer counts too
    watch.stop()
    await ticking
    await asyncio.to_thread(looking.join)
    return status, seconds, watch


async def measured(only: str, size: int, repeat: int) -> list[Pause]:
    chosen: list[tuple[str, str, str, Shape]] = [
        (path, model, name, shape)
        for path, model, shapes in SHAPES
        for name, shape in shapes.items()
        if only in f"{path} {model} {name}"
    ]
    pauses = []
    async with running() as app:
        for path, model, _, shape in chosen:  # loads what is loaded on first use
            await post(app, *request(path, model, shape, 2_000))
        for path, model, name, shape in chosen:
            asked, raw = request(path, model, shape, size)
            tries = []
            for _ in range(repeat):
                status, seconds, watch = await pause_of(app, asked, raw)
                tries.append((watch.wall * 1e3, watch.cpu * 1e3, status, seconds, watch.place))
            wall, _, status, seconds, place = min(tries)
            cpu = min(one[1] for one in tries)
            pauses.append(Pause(path, model, name, status, seconds, wall, cpu, place))
    return pauses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="part of path, model or shape")
    parser.add_argument("--megabytes", type=float, default=31, help="a body (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="of each request (%(default)s)")
    parser.add_argument("--most", type=float, help="fail if the loop pauses for more ms")
    parser.add_argument("--markdown", action="store_true", help="a table for the documentation")
    options = parser.parse_args()
    with prepared({"LOG_LEVEL": "CRITICAL", "REQUEST_DEADLINE": "120"}, CATALOGUE):
        size = int(options.megabytes * 1024 * 1024)
        pauses = asyncio.run(measured(options.only, size, options.repeat))
    if options.markdown:
        rows = [HEADINGS[:-1], ["---"] * 7, *(pause.cells()[:-1] for pause in pauses)]
        print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    else:
        table = Table(*HEADINGS, title=f"bodies of {options.megabytes:g} MB")
        for pause in pauses:
            table.add_row(*pause.cells())
        Console(width=170).print(table)
    worst = max((pause.wall for pause in pauses), default=0.0)
    if options.most is not None and worst > options.most:
        sys.exit(f"The event loop paused for {worst:.0f} ms, more than {options.most:g} ms.")


if __name__ == "__main__":
    main()
