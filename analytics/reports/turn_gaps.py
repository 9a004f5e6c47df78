"""How long agents' sessions wait between two turns, and what keeping their caches was worth."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.utils import timezone

from analytics.ledger.sessions import SessionKey
from analytics.models import AgentSession, RequestRecord

_PAST = timedelta(days=30)
_LATEST = 20_000
"""The bound keeps the query's cost the same for any size of the ledger."""
_ENDED = timedelta(hours=1)
_LIFETIME = timedelta(minutes=5)
_KEEP_ALIVE = RequestRecord.Turn.KEEP_ALIVE
_NO_TURNS = (_KEEP_ALIVE, "title", "summary", "classification", "probe")
_MOST_KEPT = 5_000


class AgentGaps(NamedTuple):
    """The gaps between an agent's turns: their seconds, and how many turns were the last.

    ``written`` is the share of their input tokens that was written to a prompt cache, 0-1.
    """

    seconds: list[float]
    ended: int
    written: float


def turn_gaps() -> dict[str, AgentGaps]:
    """Return the gaps between the latest turns of each agent's sessions."""
    now = timezone.now()
    rows = (
        RequestRecord.objects.filter(created_at__gte=now - _PAST, sub_agent="")
        .exclude(agent__in=("", "chat"))
        .exclude(turn__in=_NO_TURNS)
        .order_by("-created_at")
        .values_list("agent", "tenant", "session_id", "created_at", "latency_ms", "tokens_in",
                     "cache_write_tokens")
    )  # fmt: skip
    following: dict[tuple[str, str], datetime] = {}
    seconds: dict[str, list[float]] = defaultdict(list)
    ended: dict[str, int] = defaultdict(int)
    tokens: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for agent, tenant, session, at, latency_ms, tokens_in, written in rows[:_LATEST]:
        answered = at + timedelta(milliseconds=latency_ms)
        following_at = following.get((tenant, session))
        if following_at is not None:
            seconds[agent].append(max((following_at - answered).total_seconds(), 0.0))
        elif answered < now - _ENDED:
            ended[agent] += 1
        following[tenant, session] = at
        tokens[agent][0] += tokens_in
        tokens[agent][1] += written
    return {
        agent: AgentGaps(seconds[agent], ended[agent], written / max(total, 1))
        for agent, (total, written) in tokens.items()
    }


def session_waits(key: SessionKey, since: datetime) -> bool:
    """Return whether a session has had no turn since then, and nobody stopped it."""
    session = AgentSession.objects.filter(
        tenant=key.tenant, session_id=key.session_id, sub_agent="", stopped_at=None
    )
    turns = RequestRecord.objects.filter(
        session_id=key.session_id, tenant=key.tenant, sub_agent=key.sub_agent, created_at__gt=since
    ).exclude(turn=_KEEP_ALIVE)
    return session.exists() and not turns.exists()


def keep_alive_figures(since: datetime) -> dict[str, Any]:
    """Return what it cost to keep prompt caches, and what was saved on the turns after it.

    A turn counts if it came after the cache would have ended without a reading. Its saving is
    what it read from the cache at less than the price of input; that it did not have to write the
    cache again is not counted.
    """
    kept = RequestRecord.objects.filter(created_at__gte=since, turn=_KEEP_ALIVE)
    rows = list(
        kept.order_by("-created_at").values_list("tenant", "session_id", "cost")[:_MOST_KEPT]
    )
    figures: dict[str, Any] = {
        "calls": len(rows), "cost": sum((cost or Decimal(0) for *_, cost in rows), Decimal(0)),
        "turns": 0, "saved": Decimal(0),
    }  # fmt: skip
    sessions = {(tenant, session) for tenant, session, _ in rows}
    for tenant, session in sessions:
        calls = RequestRecord.objects.filter(
            tenant=tenant, session_id=session, sub_agent="", created_at__gte=since
        ).exclude(turn__in=_NO_TURNS[1:])
        last_turn, was_kept = None, False
        columns = ("created_at", "turn", "cache_read_tokens", "decision__prompt_cache_saved")
        for at, turn, read, saved in calls.order_by("created_at").values_list(*columns):
            if turn == _KEEP_ALIVE:
                was_kept = True
                continue
            if was_kept and read and last_turn is not None and at - last_turn > _LIFETIME:
                figures["turns"] += 1
                figures["saved"] += saved or Decimal(0)
            last_turn, was_kept = at, False
    return figures
