"""A provider that keeps the bill of what it serves, and behaves as the prompt tells it to."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.faults.billing_wires import Claude, Gpt, Wire

# Each is one token with the space before it, in the vocabularies of all providers.
WORDS = (
    "the of and to in is that it was for on are as with they at be this from have or by one had"
    " not but what all were when we there can an your which their said if do will each about how"
    " up out them then she many some so these would other into has more her two like him see time"
    " could no make than first been its who now people my made over did down only way find use may"
    " water long little very after words called just where most know"
)
PRICES = {  # USD for a million tokens of input and of output
    "audit-gpt": (Decimal(2), Decimal(10)),
    "audit-claude": (Decimal(3), Decimal(15)),
    # Most of a flood lies unread in sockets when it is cut: it is charged, and nobody can know.
    # So its price says next to nothing.
    "audit-flood": (Decimal("0.0001"), Decimal("0.0002")),
}
CATALOGUE = """
[providers.auditgpt]
wire = "openai"
base_url = "{url}/v1"
key_env = ["AUDIT_KEY"]
[providers.auditspare]
wire = "openai"
base_url = "{url}/v1"
key_env = ["AUDIT_KEY"]
[providers.auditclaude]
wire = "anthropic"
base_url = "{url}"
key_env = ["AUDIT_KEY"]
"""
MODEL = """
[[models]]
provider = "{provider}"
id = "{model}"
tier = "complex"
context_window = 1000000
capabilities = ["tools", "json"]
price = {{ input = "{input}", output = "{output}" }}
"""
PLACES = (
    ("auditgpt", "audit-gpt"), ("auditspare", "audit-gpt"),
    ("auditclaude", "audit-claude"), ("auditgpt", "audit-flood"),
)  # fmt: skip
ACTS = ("silent", "lies", "absurd", "hangs", "trickles", "cuts", "endless", "pings", "refuses")
IN_FLIGHT = 0.5
"""Seconds. A piece written so shortly before its connection was closed may not have arrived:
it is on the bill, but nobody can say that it was served."""


def catalogue(url: str) -> str:
    models = (
        MODEL.format(provider=p, model=m, input=PRICES[m][0], output=PRICES[m][1])
        for p, m in PLACES
    )
    return CATALOGUE.format(url=url) + "".join(models)


def text_of(tokens: int, lot: random.Random) -> str:
    return "".join(f" {word}" for word in lot.choices(WORDS.split(), k=tokens))


@dataclass
class Call:
    """One call. A whole answer is charged as soon as it is begun, whatever becomes of its
    delivery; a stream as far as it was written."""

    number: int
    tenant: int
    act: str
    model: str
    tokens_in: int
    max_tokens: int
    streamed: bool
    begun: float
    ended: float = 0.0
    tokens_out: int = 0
    complete: bool = False
    refused: bool = False
    written: list[tuple[float, int]] = field(default_factory=list)

    def _price(self, tokens_out: int) -> Decimal:
        if self.refused:
            return Decimal(0)
        price_in, price_out = PRICES[self.model]
        return (self.tokens_in * price_in + tokens_out * price_out) / 1_000_000

    @property
    def billed(self) -> Decimal:
        return self._price(self.tokens_out)

    @property
    def served(self) -> Decimal:
        """The part of the bill of which the service must have seen the reason. Most of what a
        flood writes may lie in sockets, unread, when its reader is sent away."""
        if self.act == "flood":
            return self._price(0)
        if self.complete or not self.streamed:
            return self.billed
        arrived = (tokens for at, tokens in self.written if at < self.ended - IN_FLIGHT)
        return self._price(sum(arrived))

    @property
    def allowed(self) -> Decimal:
        """What it may have cost, for all that a service knows that does not see its answer."""
        return self._price(self.max_tokens)

    @property
    def most(self) -> Decimal:
        return max(self.allowed, self.billed)


class BillingProvider:
    def __init__(self, seed: int) -> None:
        self.calls: list[Call] = []
        self.running: set[int] = set()
        self.url = ""
        self._lot = random.Random(seed)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        content = body["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[0]["text"]
        told = re.match(r"\[(\d+) (\d) (\w+)\]", prompt)
        assert told is not None
        limit = body.get("max_tokens") or body.get("max_completion_tokens")
        call = Call(
            int(told[1]), int(told[2]), told[3], body["model"], 4 + round(len(prompt) / 4.4),
            limit, bool(body.get("stream")), time.monotonic(),
        )  # fmt: skip
        wire = Claude(call) if request.path == "/v1/messages" else Gpt(call)
        self.calls.append(call)
        self.running.add(id(call))
        try:
            return await (self._stream if call.streamed else self._whole)(request, call, wire)
        finally:
            call.ended = time.monotonic()
            self.running.discard(id(call))

    async def _whole(self, request: web.Request, call: Call, wire: Wire) -> web.StreamResponse:
        if call.act == "refuses":
            return self._refuse(call)
        call.tokens_out = call.max_tokens
        if call.act in ("answer", "long"):
            call.tokens_out = self._lot.randint(call.max_tokens // 4, call.max_tokens)
        if call.act == "long":
            call.tokens_out = call.max_tokens
        await _pause(request, self._lot.uniform(0.2, 0.6))
        if call.act == "hangs":
            await _pause(request, 3600)
            return web.Response()
        text = text_of(call.tokens_out, self._lot)
        data = json.dumps(wire.whole(text, self._usage(call))).encode()
        if call.act in ("answer", "long", "silent", "lies", "absurd"):
            call.complete = True
            return web.json_response(body=data)
        response = web.StreamResponse(headers={"content-type": "application/json"})
        response.content_length = None if call.act in ("endless", "pings") else len(data)
        await response.prepare(request)
        with suppress(ConnectionError):
            if call.act == "cuts":
                await response.write(data[: self._lot.randrange(len(data))])
                _reset(request)
            elif call.act == "trickles":
                for at in range(len(data)):
                    await response.write(data[at : at + 1])
                    await _pause(request, 0.2)
            else:
                while _open(request):
                    await response.write(b" \n" * 100)
                    await asyncio.sleep(0.05)
        return response

    async def _stream(self, request: web.Request, call: Call, wire: Wire) -> web.StreamResponse:
        if call.act == "refuses":
            return self._refuse(call)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await _pause(request, self._lot.uniform(0.05, 0.3))
        if call.act == "hangs" and self._lot.random() < 0.5:
            await _pause(request, 3600)
        with suppress(ConnectionError):
            await response.prepare(request)
            await response.write(wire.first())
            while call.act == "hangs" and _open(request):
                await asyncio.sleep(0.05)
            while call.act == "pings" and _open(request):
                await response.write(wire.ping())
                await asyncio.sleep(0.1)
            await self._pieces(request, call, wire, response)
        return response

    async def _pieces(
        self, request: web.Request, call: Call, wire: Wire, response: web.StreamResponse
    ) -> None:
        size, pause = (40, 0.0) if call.act == "flood" else (1, self._lot.uniform(0.005, 0.03))
        if call.act == "trickles":
            pause = 0.3
        length = self._lot.randint(call.max_tokens // 4, call.max_tokens)
        cut = self._lot.randrange(length)
        while _open(request) and (call.tokens_out < length or call.act == "endless"):
            if call.act == "cuts" and call.tokens_out >= cut:
                _reset(request)
                return
            await response.write(wire.piece(text_of(size, self._lot)))
            call.tokens_out += size
            call.written.append((time.monotonic(), size))
            await asyncio.sleep(pause)
        if _open(request):
            call.complete = True
            await response.write(wire.last(self._usage(call)))

    def _usage(self, call: Call) -> tuple[Any, Any] | None:
        """What it reports. A lie is repeated on the bill; nonsense is not."""
        if call.act == "silent":
            return None
        if call.act == "absurd":
            return self._lot.choice([(-5, -1), ("many", None), (10**15, 2**70), (0.5, {})])
        if call.act == "lies":
            call.tokens_in, call.tokens_out = call.tokens_in * 2, call.tokens_out * 3 + 7
        return call.tokens_in, call.tokens_out

    def _refuse(self, call: Call) -> web.Response:
        call.refused = call.complete = True
        return web.json_response({"error": {"message": "no"}}, status=self._lot.choice([500, 529]))


def _open(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def _reset(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _pause(request: web.Request, seconds: float) -> None:
    """Or until the line is closed."""
    ends = time.monotonic() + seconds
    while _open(request) and time.monotonic() < ends:
        await asyncio.sleep(min(0.05, max(0.0, ends - time.monotonic())))


@asynccontextmanager
async def billing_provider(seed: int) -> AsyncIterator[BillingProvider]:
    provider = BillingProvider(seed)
    app = web.Application()
    app.router.add_post("/v1/messages", provider.answer)
    app.router.add_post("/v1/chat/completions", provider.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
