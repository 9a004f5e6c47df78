"""python -m benchmarks.gateway.adversarial: how long requests of odd shapes hold the event loop.

The service runs in this process against a fake provider. While each request is served, a timer
ticks each millisecond. Shown is the longest time between two ticks: by the clock (others wait so
long, also if a thread keeps the interpreter), and in CPU time of the event loop's thread (what
the request itself did there), with the place where it was then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.gateway.complete import ROOT, served, service_environment

Body = dict[str, Any]
Shape = Callable[[int], Body]
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI, OWN = "/v1beta/models/auto:generateContent", "/complete"
_TICK = 0.001
_OURS = tuple(f"{ROOT}/{name}/" for name in ("optimizer", "providers", "analytics", "routing"))
# Takes everything, so that nothing ends a request early.
_MODEL = """
[[models]]
provider = "groq"
id = "openai/gpt-oss-20b"
tier = "simple"
context_window = 1000000000
capabilities = ["tools", "json", "vision"]
"""
_OBJECT = {"type": "object", "properties": {}}


def _words(size: int) -> str:
    return "the quick brown fox jumps over " * (size // 31)


def _deep(size: int) -> Any:
    """Arrays within arrays, no deeper than is allowed, so often that it is large."""
    value: Any = []
    for _ in range(150):
        value = [value]
    return [value] * max(1, size // 304)


def _schema(size: int) -> Body:
    count = size // 60
    return {
        "type": "object",
        "properties": {f"field_{n}": {"type": "string", "maxLength": n} for n in range(count)},
    }


def _chat(content: Any, **more: Any) -> Body:
    return {"model": "auto", "messages": [{"role": "user", "content": content}], **more}


def _function(n: int, schema: Body | None = None) -> Body:
    return {"name": f"tool_{n}", "description": "It does a thing.", "parameters": schema or _OBJECT}


CHAT_SHAPES: dict[str, Shape] = {
    "many tiny messages": lambda size: {
        "model": "auto",
        "messages": [{"role": ("user", "assistant")[n % 2], "content": "x"}
                     for n in range(size // 34)],
    },
    "one long text": lambda size: _chat(_words(size)),
    "one character": lambda size: _chat("x" * size),
    "no spaces, many scripts": lambda size: _chat("中a文ж" * (size // 9)),
    "many lines": lambda size: _chat("\n" * (size // 2)),
    "many parts": lambda size: _chat([{"type": "text", "text": "x"}] * (size // 30)),
    "many tools": lambda size: _chat(
        "x", tools=[{"type": "function", "function": _function(n)} for n in range(size // 150)]
    ),
    "giant schema": lambda size: _chat(
        "x", tools=[{"type": "function", "function": _function(0, _schema(size))}]
    ),
    "giant answer schema": lambda size: _chat(
        "x",
        response_format={
            "type": "json_schema", "json_schema": {"name": "a", "schema": _schema(size)}
        },
    ),
    "deep nesting": lambda size: _chat("x", metadata={"a": _deep(size)}),
    "huge image": lambda size: _chat(
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}]
    ),
    "giant tool arguments": lambda size: {
        "model": "auto",
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function",
                 "function": {"name": "b", "arguments": json.dumps({"t": "y" * size})}}]},
            {"role": "tool", "tool_call_id": "a", "content": _words(size // 4)},
        ],
        "tools": [{"type": "function", "function": _function(0)}],
    },
    "many fields": lambda size: {**_chat("x"), **{f"f{n}": n for n in range(size // 16)}},
}  # fmt: skip
RESPONSES_SHAPES: dict[str, Shape] = {
    "many tiny items": lambda size: {
        "model": "auto", "input": [{"role": "user", "content": "x"}] * (size // 34)
    },
    "many parts": lambda size: {
        "model": "auto",
        "input": [{"role": "user",
                   "content": [{"type": "input_text", "text": "x"}] * (size // 36)}],
    },
    "one long text": lambda size: {"model": "auto", "input": _words(size)},
    "many tools": lambda size: {
        "model": "auto", "input": "x",
        "tools": [{"type": "function", **_function(n)} for n in range(size // 130)],
    },
    "giant schema": lambda size: {
        "model": "auto", "input": "x",
        "tools": [{"type": "function", **_function(0, _schema(size))}],
    },
}  # fmt: skip
MESSAGES_SHAPES: dict[str, Shape] = {
    name: (lambda size, shape=CHAT_SHAPES[name]: {"max_tokens": 100, **shape(size)})  # type: ignore[misc]
    for name in ("many tiny messages", "one long text", "many lines", "many parts")
} | {
    "many tools": lambda size: {
        **_chat("x"), "max_tokens": 100,
        "tools": [{"name": f"t{n}", "input_schema": _OBJECT} for n in range(size // 70)],
    },
    "giant schema": lambda size: {
        **_chat("x"), "max_tokens": 100,
        "tools": [{"name": "t", "input_schema": _schema(size)}],
    },
    "huge document": lambda size: {
        **_chat([{"type": "document", "source": {
            "type": "base64", "media_type": "application/pdf", "data": "A" * size}}]),
        "max_tokens": 100,
    },
}  # fmt: skip
GEMINI_SHAPES: dict[str, Shape] = {
    "many tiny contents": lambda size: {
        "contents": [{"role": ("user", "model")[n % 2], "parts": [{"text": "x"}]}
                     for n in range(size // 42)]
    },
    "many parts": lambda size: {"contents": [{"parts": [{"text": "x"}] * (size // 15)}]},
    "many tools": lambda size: {
        "contents": [{"parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [_function(n) for n in range(size // 110)]}],
    },
    "huge image": lambda size: {
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "A" * size}}]}]
    },
}  # fmt: skip
OWN_SHAPES: dict[str, Shape] = {
    "one long text": lambda size: {"prompt": _words(size)},
    "many fields": lambda size: {"prompt": "x", **{f"f{n}": n for n in range(size // 16)}},
}
SHAPES = {
    CHAT: CHAT_SHAPES,
    RESPONSES: RESPONSES_SHAPES,
    MESSAGES: MESSAGES_SHAPES,
    GEMINI: GEMINI_SHAPES,
    OWN: OWN_SHAPES,
}


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


async def post(app: Any, path: str, raw: bytes) -> tuple[int, bytes]:
    """One request straight to the ASGI application; its status and the end of its answer."""
    sent: list[Body] = []
    chunk = 64 * 1024
    parts = [raw[i : i + chunk] for i in range(0, len(raw), chunk)]
    waiting = [{"type": "http.request", "body": p, "more_body": True} for p in parts]
    waiting[-1]["more_body"] = False
    waiting.reverse()

    async def receive() -> Body:
        await asyncio.sleep(0)
        return waiting.pop() if waiting else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Body) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"host", b"localhost"),
               (b"content-length", str(len(raw)).encode())]  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "scheme": "http", "http_version": "1.1",
        "client": ("127.0.0.1", 1), "server": ("localhost", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], sent[-1].get("body", b"")[:90]


async def measured(only: str, size: int) -> list[list[Any]]:
    """A row for each shape: path, shape, status, seconds, milliseconds by clock and CPU, place."""
    from optimizer.asgi import application

    messages = asyncio.Queue[Body]()
    started = asyncio.Event()

    async def send(message: Body) -> None:
        if message["type"].endswith(".failed"):
            raise RuntimeError(message["message"])
        started.set()

    lifespan = asyncio.create_task(application({"type": "lifespan"}, messages.get, send))
    await messages.put({"type": "lifespan.startup"})
    await started.wait()
    for path in SHAPES:  # loads what is loaded on first use
        for shape in list(SHAPES[path].values()):
            await post(application, path, json.dumps(shape(2_000)).encode())
    rows = []
    for path, shapes in SHAPES.items():
        for name, shape in shapes.items():
            if only not in f"{path} {name}":
                continue
            raw = json.dumps(shape(size), ensure_ascii=False).encode()
            watch = LoopWatch()
            ticking = asyncio.create_task(watch.tick())
            looking = threading.Thread(target=watch.look)
            looking.start()
            await asyncio.sleep(0.02)
            watch.wall = watch.cpu = 0.0
            began = time.perf_counter()
            status, _ = await post(application, path, raw)
            seconds = time.perf_counter() - began
            await asyncio.sleep(0.2)  # what is done after the answer counts too
            watch.stop()
            await ticking
            await asyncio.to_thread(looking.join)
            rows.append([path, name, status, seconds, watch.wall * 1e3, watch.cpu * 1e3,
                         watch.place])  # fmt: skip
    await messages.put({"type": "lifespan.shutdown"})
    await lifespan
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="part of a path or a shape's name")
    parser.add_argument("--megabytes", type=float, default=30, help="a body (%(default)s)")
    parser.add_argument("--most", type=float, help="fail if one takes more CPU ms on the loop")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        served("benchmarks.gateway.upstream:application", {}) as upstream,
    ):
        os.environ.update(service_environment(upstream, folder, None))
        catalogue = Path(folder) / "catalogue.toml"
        catalogue.write_text(_MODEL)
        os.environ.update({
            "LOG_LEVEL": "CRITICAL", "REQUEST_DEADLINE": "120", "CATALOGUE_FILE": str(catalogue)
        })  # fmt: skip
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        size = int(options.megabytes * 1024 * 1024)
        rows = asyncio.run(measured(options.only, size))
    table = Table(title=f"bodies of {options.megabytes:g} MB")
    for heading in ("path", "shape", "status", "s", "loop late, ms", "loop CPU, ms", "where"):
        table.add_column(heading)
    for path, name, status, seconds, wall, cpu, place in rows:
        table.add_row(path, name, str(status), f"{seconds:.1f}", f"{wall:.0f}", f"{cpu:.1f}",
                      place if wall > 20 else "")  # fmt: skip
    Console(width=150).print(table)
    worst = max((row[5] for row in rows), default=0.0)
    if options.most is not None and worst > options.most:
        sys.exit(f"The event loop was held for {worst:.0f} ms, more than {options.most:g} ms.")


if __name__ == "__main__":
    main()
