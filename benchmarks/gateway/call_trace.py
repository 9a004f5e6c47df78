"""python -m benchmarks.gateway.call_trace: the files and calls that one request runs through.

The service runs in this process against a fake provider; a new prompt is answered once
so that everything is loaded, then a second one is counted, on every thread. Only the
project's own files count. A coroutine counts once, however often it is resumed.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.gateway.complete import ROOT
from benchmarks.gateway.in_process import post, prepared, running

PACKAGES = ("optimizer", "analytics", "providers", "routing")
_RESUMABLE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
ROUTES: dict[str, Callable[[str], dict[str, Any]]] = {
    "/complete": lambda prompt: {"prompt": prompt, "max_tokens": 100},
    "/v1/chat/completions": lambda prompt: {
        "model": "auto",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": prompt}],
    },
}


class CallCounter:
    """Counts calls of the project's functions while :meth:`counting`."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self._resumed: set[int] = set()
        self._kept: list[FrameType] = []
        self._roots = tuple(f"{ROOT / package}{os.sep}" for package in PACKAGES)

    @contextmanager
    def counting(self) -> Iterator[None]:
        threading.setprofile(self._see)
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(self._roots):
            return
        if code.co_flags & _RESUMABLE:
            if id(frame) in self._resumed:
                return
            self._resumed.add(id(frame))
            self._kept.append(frame)  # its id must not be given to another
        file = str(Path(code.co_filename).relative_to(ROOT))
        self.calls[file, code.co_qualname] += 1

    @property
    def files(self) -> Counter[str]:
        totals: Counter[str] = Counter()
        for (file, _), count in self.calls.items():
            totals[file] += count
        return totals


async def traced(path: str) -> CallCounter:
    """The calls of one new prompt's answer at ``path``."""
    # Threads must be born under the profiler, so it looks on from the beginning.
    counter = CallCounter()
    with counter.counting():
        async with running() as application:
            build = ROUTES[path]
            for prompt in ("What is the capital of Peru?", "What is the capital of Chile?"):
                await _answered(application, path, build(prompt))
            await asyncio.sleep(0.2)
            idle = await _while_idle(counter)
            counter.calls.clear()
            await _answered(application, path, build("What is the capital of France?"))
            await asyncio.sleep(0.1)
            for call in idle:
                del counter.calls[call]
            measured = CallCounter()
            measured.calls = counter.calls.copy()
    return measured


async def _answered(app: Any, path: str, body: dict[str, Any]) -> None:
    status, end = await post(app, path, json.dumps(body).encode())
    if status != 200:
        raise RuntimeError(f"{path} answered {status}: {end!r}")


async def _while_idle(counter: CallCounter) -> set[tuple[str, str]]:
    """Return the calls of periodic tasks, which belong to no request."""
    counter.calls.clear()
    await asyncio.sleep(2.2)
    return set(counter.calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", choices=[*ROUTES], default="/complete")
    parser.add_argument("--list", action="store_true", help="name each function and its calls")
    parser.add_argument("--max-files", type=int, help="fail if it runs through more files")
    parser.add_argument("--max-calls", type=int, help="fail if it runs through more calls")
    options = parser.parse_args()
    with prepared():
        counter = asyncio.run(traced(options.path))
    if options.list:
        for (file, name), count in sorted(counter.calls.items()):
            print(f"{count:4}  {file}  {name}")
    files, calls = len(counter.files), sum(counter.files.values())
    print(f"{options.path} (miss): {files} files, {calls} calls")
    if files > (options.max_files or files) or calls > (options.max_calls or calls):
        sys.exit(f"That is more than {options.max_files} files or {options.max_calls} calls.")


if __name__ == "__main__":
    main()
