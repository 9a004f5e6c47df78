"""Clients of four tenants: half of them honest, the others leave, dawdle and ask for trouble."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.faults.billing_provider import ACTS, text_of

HONEST = (8, 8, 8, 8)
HOSTILE = (2, 4, 8, 18)
"""Clients of each tenant: 64."""
_GIVE_UP = 60.0


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    at: float = field(default_factory=time.monotonic)

    @property
    def refused_for_records(self) -> bool:
        return self.status == 503 and b"records_unavailable" in self.body


async def exchange(
    port: int,
    head: bytes,
    body: bytes,
    *,
    leave_after: float = _GIVE_UP,
    drip: float = 0.0,
    read_pause: float = 0.0,
) -> Reply | None:
    """One request on a connection of its own; ``None`` if it came to no answer. ``drip`` is the
    pause between pieces of the body that is sent, ``read_pause`` between those that are read."""
    connection = socket.socket()
    writer = None
    received = bytearray()
    try:
        async with asyncio.timeout(leave_after):
            connection.setblocking(False)
            if read_pause:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(
                sock=connection, limit=1024 if read_pause else 2**16
            )
            writer.write(head)
            step = 40 if drip else max(len(body), 1)
            for at in range(0, len(body), step):
                writer.write(body[at : at + step])
                await writer.drain()
                await asyncio.sleep(drip)
            while piece := await reader.read(512 if read_pause else 2**16):
                received += piece
                await asyncio.sleep(read_pause)
    except (OSError, TimeoutError):
        pass
    finally:
        if writer is not None:
            writer.transport.abort()
        else:
            connection.close()
    return _parsed(bytes(received))


def _parsed(received: bytes) -> Reply | None:
    head, ended, rest = received.partition(b"\r\n\r\n")
    if not ended:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    status = int(first.split()[1])
    if "content-length" in headers:
        return Reply(status, headers, rest, len(rest) == int(headers["content-length"]))
    body = bytearray()
    while rest:
        size, ended, rest = rest.partition(b"\r\n")
        if not ended or not size:
            break
        length = int(size, 16)
        if length == 0:
            return Reply(status, headers, bytes(body), True)
        body += rest[:length]
        rest = rest[length + 2 :]
    return Reply(status, headers, bytes(body), False)


def head_of(method: str, path: str, key: str, length: int = 0) -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"content-length: {length}\r\n\r\n"
    ).encode()


@dataclass
class Asking:
    """What one request asks: the number is in its prompt and is its session."""

    number: int
    tenant: int
    act: str
    model: str
    path: str
    streamed: bool
    prompt: str
    max_tokens: int

    @property
    def body(self) -> bytes:
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": self.prompt}],
            "max_tokens": self.max_tokens,
            "stream": self.streamed,
            "optimizer": {"session_id": f"audit-{self.number}"},
        }
        return json.dumps(asked).encode()


class AuditClients:
    """``delivered``: number, id and cost of each answer that arrived whole, as its client was
    told. ``honest``: when, whose and with which status honest clients were answered."""

    def __init__(self, port: int, keys: list[list[str]], seed: int) -> None:
        self.delivered: list[tuple[int, str, Decimal]] = []
        self.honest: list[tuple[float, int, str]] = []
        self.refusals: list[float] = []
        self.readiness: list[tuple[float, int]] = []
        self.plain: set[int] = set()
        self._port = port
        self._keys = keys
        self._lot = random.Random(seed)
        self._numbers = itertools.count(1)
        self._past: dict[int, list[Asking]] = {0: [], 1: [], 2: [], 3: []}
        self._over = asyncio.Event()

    async def run(self, over: asyncio.Event, *, hostile: bool = True) -> None:
        """Until it is over; whoever waits for an answer then still gets it."""
        self._over = over
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_readiness())
            for tenant in range(4):
                for _ in range(HONEST[tenant]):
                    tasks.create_task(self._repeat(self._ask_honestly, tenant))
                for _ in range(HOSTILE[tenant] if hostile else 0):
                    tasks.create_task(self._repeat(self._ask_badly, tenant))

    async def _repeat(self, ask: Any, tenant: int) -> None:
        while not self._over.is_set():
            await ask(tenant)

    async def _watch_readiness(self) -> None:
        while not self._over.is_set():
            reply = await exchange(self._port, head_of("GET", "/ready", "none"), b"", leave_after=5)
            if reply is not None:
                self.readiness.append((reply.at, reply.status))
            await asyncio.sleep(0.1)

    def _asking(self, tenant: int, act: str) -> Asking:
        lot = self._lot
        number = next(self._numbers)
        model = "audit-flood" if act == "flood" else lot.choice(["audit-gpt", "audit-claude"])
        path = lot.choice(["/v1/chat/completions", "/v1/messages"])
        streamed = act in ("flood", "long") or lot.random() < 0.6
        prompt = f"[{number} {tenant} {act}]" + text_of(lot.randint(20, 120), lot)
        limit = 200_000 if act == "flood" else lot.randint(20, 80)
        return Asking(number, tenant, act, model, path, streamed, prompt, limit)

    async def _send(self, asking: Asking, **how: float) -> Reply | None:
        body = asking.body
        key = self._lot.choice(self._keys[asking.tenant])
        reply = await exchange(
            self._port, head_of("POST", asking.path, key, len(body)), body, **how
        )
        if reply is None:
            return None
        if reply.refused_for_records:
            self.refusals.append(reply.at)
        if reply.status == 200 and reply.whole:
            cost = _cost_of(reply, asking.streamed)
            if cost is not None:
                self.delivered.append((asking.number, reply.headers["x-request-id"], cost))
        return reply

    async def _ask_honestly(self, tenant: int) -> None:
        past = self._past[tenant]
        if past and self._lot.random() < 0.1:
            asking = self._lot.choice(past)
        else:
            asking = self._asking(tenant, "answer")
            past.append(asking)
            self.plain.add(asking.number)
        reply = await self._send(asking)
        self.honest.append((time.monotonic(), tenant, _outcome(reply)))
        if reply is None or reply.status != 200:
            await asyncio.sleep(0.1)

    async def _ask_badly(self, tenant: int) -> None:
        lot = self._lot
        kind = lot.choices(("leaves", "drips", "dawdles", "provokes"), (5, 2, 1, 5))[0]
        if kind == "leaves":
            reply = await self._send(self._asking(tenant, "long"), leave_after=lot.uniform(0, 2))
        elif kind == "drips":
            reply = await self._send(
                self._asking(tenant, "answer"), drip=lot.uniform(0.1, 0.8),
                leave_after=lot.uniform(1, 20),
            )  # fmt: skip
        elif kind == "dawdles":
            reply = await self._send(
                self._asking(tenant, "flood"), read_pause=0.2, leave_after=lot.uniform(2, 10)
            )
        else:
            reply = await self._send(self._asking(tenant, lot.choice(ACTS)))
        if reply is None or reply.status != 200:
            await asyncio.sleep(0.05)


def _outcome(reply: Reply | None) -> str:
    if reply is None:
        return "no answer"
    if reply.status == 200:
        return "ok" if reply.whole else "broke off"
    return f"{reply.status} {reply.body[:160].decode(errors='replace')}"


def _cost_of(reply: Reply, streamed: bool) -> Decimal | None:
    """What the client was told. A stream that ended in an error was not delivered."""
    told = reply.headers.get("x-optimizer-cost", "unknown")
    if not streamed or told != "unknown":
        return None if told == "unknown" else Decimal(told)
    for line in reversed(reply.body.splitlines()):
        if line.startswith(b"data: {"):
            with suppress(ValueError):
                facts = json.loads(line[6:], parse_float=Decimal).get("optimizer")
                if facts and facts.get("cost") is not None:
                    return Decimal(facts["cost"])
    return None
