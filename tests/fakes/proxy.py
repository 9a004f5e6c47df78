"""An HTTP proxy on loopback: it tunnels (CONNECT) and forwards, wherever it is told names are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit


class FakeProxy:
    """Knows where hosts are by ``places``: ports on loopback by "host:port".

    It writes what it ``says`` instead of opening a tunnel, and then hangs up or is ``silent``.
    """

    def __init__(
        self,
        places: Mapping[str, int],
        refuses: int = 0,
        says: bytes | None = None,
        *,
        silent: bool = False,
    ) -> None:
        self.places = dict(places)
        self.refuses = refuses
        self.says = says
        self.silent = silent
        self.asked: list[str] = []
        self.authorization: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FakeProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # it has ended, or the test has
        finally:
            await _close(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        self.asked.append(f"{method} {target}")
        names = [line.partition(": ") for line in lines]
        self.authorization += [v for n, _, v in names if n.lower() == "proxy-authorization"]
        if self.refuses:
            writer.write(f"HTTP/1.1 {self.refuses} No\r\ncontent-length: 0\r\n\r\n".encode())
            return
        if self.says is not None:
            writer.write(self.says)
            while self.silent and await reader.read(65536):
                pass
            return
        if method == "CONNECT":
            there, back = await self._open(target)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            place = urlsplit(target)
            there, back = await self._open(f"{place.hostname}:{place.port or 80}")
            path = f"{place.path}?{place.query}" if place.query else place.path
            kept = [f"{n}: {v}" for n, _, v in names if not n.lower().startswith("proxy-")]
            # Each request has a connection of its own, so that each is looked at.
            sent = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close"])
            back.write(f"{sent}\r\n\r\n".encode("latin-1"))
        try:
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
        finally:
            await _close(back)

    async def _open(self, place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.places[place])


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()
