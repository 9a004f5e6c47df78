"""What routing remembers of a session, written with its requests and read by all workers."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone

from analytics.database.bulk_write import execute_many
from analytics.ledger.sessions import SessionKey
from analytics.models import AgentSession, SessionStall

_PAST = timedelta(days=30)
_ENDED = timedelta(hours=1)
_MOST_SESSIONS = 5_000
_PRIOR_SESSIONS, _PRIOR_TURNS = 20, 5.0
"""Before sessions are known, as many turns are expected as in so many sessions of this length."""


class StallSeen(NamedTuple):
    """An agent that goes round in circles, at one request; models are "provider/model".

    ``moved_to`` took over from ``model``, "" if the session stays; ``held_back`` is by lot.
    """

    request_id: UUID
    agent: str
    model: str
    moved_to: str
    held_back: bool


class SessionTurn(NamedTuple):
    """The last turn of a session or a sub-agent: its model and what is in the prompt cache.

    ``cached_tokens`` stay there until ``cached_until``, ``None`` if nothing is. ``moved_up`` is
    whether the session was given a stronger model for this turn. ``stall`` is set while its agent
    goes round in circles; the first one counts.
    """

    key: SessionKey
    at: datetime
    provider: str
    model: str
    tier: str
    effort: str
    cached_tokens: int
    cached_until: datetime | None
    moved_up: bool
    stall: StallSeen | None = None
    service_tier: str = ""


class RememberedSession(NamedTuple):
    """A session as routing finds it before its next turn; sums are of its calls so far."""

    provider: str
    model: str
    tier: str
    effort: str
    cached_tokens: int
    moved_up: bool
    calls: int
    tokens_out: int
    service_tier: str = ""


def session_turns_write(turns: Sequence[SessionTurn]) -> None:
    """Write the last turn of each session, in the caller's transaction."""
    last: dict[SessionKey, SessionTurn] = {}
    for turn in turns:
        last[turn.key] = turn
    when = connection.ops.adapt_datetimefield_value
    # All workers lock rows in the same order, so that they cannot deadlock.
    execute_many(
        _writing(),
        [
            [
                turn.provider[:64], turn.model[:128], turn.tier, turn.effort[:10],
                turn.service_tier[:16], turn.cached_tokens,
                when(turn.cached_until) if turn.cached_until else None,
                when(turn.at) if turn.moved_up else None, *key,
            ]
            for key, turn in sorted(last.items(), key=lambda item: item[0])
        ],
    )  # fmt: skip
    if stalled := [turn for turn in turns if turn.stall is not None]:
        _stalls_write(stalled)


def _stalls_write(turns: Sequence[SessionTurn]) -> None:
    SessionStall.objects.bulk_create(
        [
            SessionStall(
                **turn.key._asdict(), at=turn.at, request_id=turn.stall.request_id,
                agent=turn.stall.agent, model=turn.stall.model[:200],
                moved_to=turn.stall.moved_to[:200], held_back=turn.stall.held_back,
            )
            for turn in sorted(turns, key=lambda turn: (turn.key, turn.at))
            if turn.stall is not None
        ],
        ignore_conflicts=True,
    )  # fmt: skip


@cache
def _writing() -> str:
    return (
        "UPDATE sessions SET last_provider = %s, last_model = %s, last_tier = %s, last_effort = %s,"
        " last_service_tier = %s, cached_tokens = %s, cached_until = %s,"
        " moved_up_at = COALESCE(moved_up_at, %s)"
        " WHERE tenant = %s AND session_id = %s AND sub_agent = %s"
    )


def session_remembered(key: SessionKey) -> RememberedSession | None:
    """Return what is remembered of a session, ``None`` before its first answer."""
    row = (
        AgentSession.objects.filter(**key._asdict())
        .exclude(last_model="")
        .values_list(
            "last_provider", "last_model", "last_tier", "last_effort", "cached_tokens",
            "cached_until", "moved_up_at", "requests", "tokens_out", "last_service_tier",
        )
        .first()
    )  # fmt: skip
    if row is None:
        return None
    provider, model, tier, effort, cached, until, moved_up_at, calls, tokens_out, served = row
    alive = until is not None and until > timezone.now()
    return RememberedSession(
        provider, model, tier, effort, cached if alive else 0, moved_up_at is not None, calls,
        tokens_out, served,
    )  # fmt: skip


class SessionLengths:
    """How many calls the sessions of each agent had, to expect how many are still to come."""

    def __init__(self, lengths: Mapping[str, Sequence[int]] | None = None) -> None:
        self._lengths = {agent: sorted(counts) for agent, counts in (lengths or {}).items()}
        self._sums = {agent: _sums_from(counts) for agent, counts in self._lengths.items()}

    def expected_after(self, agent: str, calls: int) -> float:
        """Return how many more calls a session is expected to make after ``calls``.

        It is the mean of what past sessions still made after as many calls, drawn to a usual
        length while few of them are known.
        """
        counts = self._lengths.get(agent, ())
        place = bisect_right(counts, calls)
        longer = len(counts) - place
        rest = (self._sums[agent][place] if counts else 0) - longer * calls
        return (rest + _PRIOR_SESSIONS * _PRIOR_TURNS) / (longer + _PRIOR_SESSIONS)


def _sums_from(counts: Sequence[int]) -> list[int]:
    """Return the sum of ``counts`` from each place on."""
    sums = [0]
    for count in reversed(counts):
        sums.append(sums[-1] + count)
    return sums[::-1]


def session_lengths() -> SessionLengths:
    """Return the lengths of the latest ended sessions of agents, and of their sub-agents."""
    now = timezone.now()
    rows = AgentSession.objects.filter(
        last_at__gte=now - _PAST, last_at__lt=now - _ENDED, sub_agent=""
    ).exclude(agent__in=("", "chat"))
    lengths: dict[str, list[int]] = defaultdict(list)
    for agent, calls in rows.order_by("-last_at").values_list("agent", "requests")[:_MOST_SESSIONS]:
        lengths[agent].append(calls)
    return SessionLengths(lengths)
