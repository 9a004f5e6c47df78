"""A provider that speaks HTTP badly, byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.fakes.wires import anthropic_message

BODY = json.dumps(anthropic_message("m")).encode()
GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
Deed = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Villain:
    """Reads a request, then does its ``deed``; ``asked`` counts."""

    def __init__(self) -> None:
        self.deed: Deed = says(GOOD)
        self.asked = 0
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(length)
                self.asked += 1
                await self.deed(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def villain() -> AsyncIterator[Villain]:
    found = Villain()
    server = await asyncio.start_server(found._serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield found


def says(what: bytes) -> Deed:
    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(what)
        await writer.drain()

    return deed


def says_and_leaves(what: bytes) -> Deed:
    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(what)(reader, writer)
        writer.close()
        raise ConnectionResetError

    return deed


def resets_after(what: bytes) -> Deed:
    """A reset, not an end: what a crash or a firewall does."""

    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(what)(reader, writer)
        found: socket.socket = writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        raise ConnectionResetError

    return deed


def trickles(what: bytes, pause: float) -> Deed:
    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in range(len(what)):
            writer.write(what[at : at + 1])
            await writer.drain()
            await asyncio.sleep(pause)

    return deed


def hangs() -> Deed:
    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    return deed
