"""Keeps a session's conversation in Anthropic's prompt cache while its next turn may be near.

The last request is sent again, for one token of output, shortly before the cache would end: only
where :mod:`routing.cache_keeping` expects the next turn to save more than that costs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from analytics.database.aside import DatabaseThread
from analytics.ledger.sessions import SessionKey
from analytics.reports.turn_gaps import AgentGaps, session_waits, turn_gaps
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.client import Client
from optimizer.domain.identifiers import NO_AGENTS, new_request_id
from optimizer.domain.request import CachePolicy, GatewayRequest
from optimizer.domain.result import CompletionResult
from optimizer.domain.turns import COMPACTION, KEEP_ALIVE, SIDE_KINDS
from optimizer.gateway.prompt_cache import LEAST_CACHED_TOKENS
from optimizer.shared.snapshot import Snapshot
from providers.completion import Usage
from providers.pricing import PriceBook, cost_at
from routing.cache_keeping import LIFETIME, PERIOD, Gaps, hour_pays, keeping_gain
from routing.models import ModelRef

logger = logging.getLogger(__name__)
_MOST_SESSIONS = 100
_LOOK_SECONDS = 5.0
_READ_AGAIN_SECONDS = 300.0
_LATEST = LIFETIME - PERIOD
"""Seconds after which a reading that is due would find nothing, and write the cache anew."""
_NO_CACHE = CachePolicy(read=False, write=False, bypass_reason=KEEP_ALIVE)
_WIRE = "anthropic"
Complete = Callable[[GatewayRequest], Awaitable[CompletionResult]]


class CacheHabits:
    """How long agents' sessions wait between turns, read again every five minutes.

    ``refresh`` reads the database, so do not call it on the event loop.
    """

    def __init__(self, load: Callable[[], dict[str, AgentGaps]] = turn_gaps) -> None:
        self._gaps: Snapshot[dict[str, AgentGaps]] = Snapshot(load)
        self._known: dict[str, Gaps] = {}
        self._hourly: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def refresh(self) -> None:
        """Read the gaps between the latest turns, if that was long ago."""
        now = time.monotonic()
        if now - self._read_at < _READ_AGAIN_SECONDS:
            return
        self._gaps.refresh()
        gaps = self._gaps.value or {}
        known = {agent: Gaps(each.seconds, each.ended) for agent, each in gaps.items()}
        self._hourly = frozenset(a for a, g in known.items() if hour_pays(g, gaps[a].written))
        self._known = known
        self._read_at = now

    def of(self, agent: str) -> Gaps:
        """Return the gaps of an agent's sessions."""
        return self._known.get(agent, _NO_GAPS)

    def for_an_hour(self, agent: str) -> bool:
        """Return whether marks for an hour pay for the agent's sessions."""
        return agent in self._hourly


_NO_GAPS = Gaps()


@dataclass(slots=True)
class _Kept:
    """A conversation in a cache: its request and model, and when it is to be read again."""

    request: GatewayRequest
    ref: ModelRef
    tokens: int
    answered: float
    due: float
    asked_at: datetime


class CacheKeeper:
    """Reads caches again for the sessions that this process answered last.

    ``serves`` says whether a client's key still holds. ``complete`` answers a request of the
    service, within all budgets of who pays for the session.
    """

    def __init__(
        self,
        habits: CacheHabits,
        prices: PriceBook,
        database: DatabaseThread,
        wire_of: Callable[[str], str],
        serves: Callable[[Client], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._habits = habits
        self._prices = prices
        self._database = database
        self._wire_of = wire_of
        self._serves = serves
        self._clock = clock
        self._kept: OrderedDict[SessionKey, _Kept] = OrderedDict()

    def remember(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        """Remember the conversation of an answer, if its provider has it in a cache."""
        request, completion = analyzed.request, result.completion
        session = request.session
        if session.agent in NO_AGENTS or session.sub_agent or request.turn in _NOT_KEPT:
            return
        key = SessionKey(request.client.tenant, session.id)
        self._kept.pop(key, None)
        usage = completion.usage
        tokens = usage.cache_read_tokens + usage.cache_write_tokens
        if tokens < LEAST_CACHED_TOKENS or usage.cache_write_1h_tokens or result.cache_hit:
            return
        reasoning = request.chat.reasoning
        # A budget of reasoning must be below the limit of the answer, and belongs to the cache.
        if reasoning is not None and not reasoning.adaptive:
            return
        if self._wire_of(completion.provider) != _WIRE or request.turn == COMPACTION:
            return
        now = self._clock()
        self._kept[key] = _Kept(
            request, ModelRef(completion.provider, completion.model), tokens, now, now + PERIOD,
            request.asked_at,
        )  # fmt: skip
        while len(self._kept) > _MOST_SESSIONS:
            self._kept.popitem(last=False)

    async def run(self, complete: Complete) -> None:
        """Read again what is due, until the task is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look(complete)

    async def look(self, complete: Complete) -> int:
        """Read again what is due and pays, and return how many conversations were read."""
        read = 0
        for key, kept in list(self._kept.items()):
            now = self._clock()
            if kept.due > now or self._kept.get(key) is not kept:
                continue
            del self._kept[key]
            if now > kept.due + _LATEST or not self._serves(kept.request.client):
                continue
            try:
                if self._pays(kept, now) and await self._waits(key, kept):
                    await self._read(key, kept, complete)
                    read += 1
            except Exception as error:  # whatever it is, the cache ends as it would have anyway
                logger.warning("A prompt cache could not be kept", exc_info=error)
        return read

    def _pays(self, kept: _Kept, now: float) -> bool:
        rates = self._prices.rates(*kept.ref)
        if rates is None or rates.cache_read is None:
            return False
        written = Usage(kept.tokens, 0, cache_write_tokens=kept.tokens)
        cached = Usage(kept.tokens, 0, cache_read_tokens=kept.tokens)
        reading = Usage(kept.tokens, 1, cache_read_tokens=kept.tokens)
        saving = cost_at(rates, written) - cost_at(rates, cached)
        price = cost_at(rates, reading)
        gaps = self._habits.of(kept.request.session.agent)
        return keeping_gain(gaps, now - kept.answered, float(saving), float(price)) > 0

    async def _waits(self, key: SessionKey, kept: _Kept) -> bool:
        return bool(await self._database.run(partial(session_waits, key, kept.asked_at)))

    async def _read(self, key: SessionKey, kept: _Kept, complete: Complete) -> None:
        result = await complete(reading_request(kept.request, kept.ref))
        usage = result.completion.usage
        if key not in self._kept and usage.cache_read_tokens >= LEAST_CACHED_TOKENS:
            kept.tokens = usage.cache_read_tokens + usage.cache_write_tokens
            kept.due = self._clock() + PERIOD
            self._kept[key] = kept


_NOT_KEPT = SIDE_KINDS | {KEEP_ALIVE}


def reading_request(request: GatewayRequest, ref: ModelRef) -> GatewayRequest:
    """Return the request that reads the conversation of ``request`` from its model's cache."""
    changed: dict[str, Any] = {
        "chat": replace(request.chat, max_tokens=1, n=1),
        "strategy": "named",
        "only": frozenset({ref}),
        "baseline": ref,
        "turn": KEEP_ALIVE,
        "cache": _NO_CACHE,
        "streamed": False,
        "strict": False,
        # It is no trial of a lever, may not wait, and answers nobody.
        "trials": (),
        "first_tier": None,
        "passed_over": "",
        "deadline": None,
        "accepts_later": False,
        "webhook": "",
        "deferred": None,
        "held": False,
        "request_id": new_request_id(),
        "asked_at": datetime.now(UTC),
    }
    return replace(request, **changed)
