"""The sums of sessions, kept in the ledger's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from operator import add, attrgetter, neg, sub
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet, Sum

from analytics.database.bulk_write import execute_many, in_utc
from analytics.database.locking import locked_row
from analytics.ledger.daily_totals import Decided
from analytics.models import AgentSession, RequestRecord, TotalsState
from analytics.money import MoneySum

_ZERO = Decimal(0)
_KEY = ("tenant", "session_id", "sub_agent")
# What the first request that knows it says.
_FIRST = ("parent_agent", "agent", "user_id", "api_key", "project")
COUNTS = (
    "requests", "errors", "cache_hits", "unpriced", "human_turns", "tool_calls", "tokens_in",
    "tokens_out", "cache_read_tokens", "cache_write_tokens",
)  # fmt: skip
MONEY = ("cost", "savings", "prompt_cache_saved")
_SUMMED = (*COUNTS, *MONEY)
_FIRST_OF = attrgetter(*_FIRST)
_NOT_SESSIONS = frozenset({RequestRecord.Status.REFUSED})
_READ_TOGETHER = 500


class SessionKey(NamedTuple):
    """A session of a tenant, or one sub-agent in it."""

    tenant: str
    session_id: str
    sub_agent: str = ""


class _Line:
    """What some requests add to one session; ``sign`` is -1 for what they take away."""

    __slots__ = ("calls", "cost", "first", "last_at", "started_at", "sums")

    def __init__(self, request: RequestRecord, amounts: tuple[Any, ...], sign: int) -> None:
        self.first: tuple[str, ...] = _FIRST_OF(request)
        self.started_at = self.last_at = request.created_at
        self.sums = amounts if sign > 0 else tuple(map(neg, amounts))
        # Since the last turn of a human.
        self.calls, self.cost = sign, sign * (request.cost or _ZERO)

    def add(self, request: RequestRecord, amounts: tuple[Any, ...], sign: int) -> None:
        self.first = tuple(
            known or new for known, new in zip(self.first, _FIRST_OF(request), strict=True)
        )
        self.started_at = min(self.started_at, request.created_at)
        self.last_at = max(self.last_at, request.created_at)
        self.sums = tuple(map(add if sign > 0 else sub, self.sums, amounts))
        if request.turn == RequestRecord.Turn.HUMAN and sign > 0:
            self.calls, self.cost = 0, _ZERO
        self.calls += sign
        self.cost += sign * (request.cost or _ZERO)


def sessions_of(request: RequestRecord) -> tuple[SessionKey, ...]:
    """Return the sessions that a request counts in: none, its session, or its sub-agent's too."""
    if not request.session_id or request.status in _NOT_SESSIONS:
        return ()
    # The requests of a batch have the batch for a session.
    if request.endpoint == RequestRecord.Endpoint.BATCHES:
        return ()
    whole = SessionKey(request.tenant, request.session_id)
    return (whole, whole._replace(sub_agent=request.sub_agent)) if request.sub_agent else (whole,)


def sessions_add(requests: Iterable[Decided]) -> None:
    """Add requests to their sessions, in the caller's transaction."""
    _change(requests, 1)


def sessions_take_back(requests: Iterable[Decided]) -> None:
    """Subtract requests from their sessions, in the caller's transaction.

    A session without requests stays, as the caller may add a request again: see
    :func:`sessions_drop_empty`.
    """
    _change(requests, -1)


def sessions_drop_empty(requests: Iterable[RequestRecord]) -> None:
    """Delete the sessions of ``requests`` that have no request left."""
    for key in sorted({key for request in requests for key in sessions_of(request)}):
        AgentSession.objects.filter(**key._asdict(), requests__lte=0).delete()


def _change(requests: Iterable[Decided], sign: int) -> None:
    lines: dict[SessionKey, _Line] = {}
    for request, decision in requests:
        if not (keys := sessions_of(request)):
            continue
        amounts = _amounts(request, decision.prompt_cache_saved if decision is not None else None)
        for key in keys:
            if key in lines:
                lines[key].add(request, amounts, sign)
            else:
                lines[key] = _Line(request, amounts, sign)
    if not lines:
        return
    # Most begin and end at one request, whose time was written before.
    when = in_utc if connection.vendor == "sqlite" else connection.ops.adapt_datetimefield_value
    money = str if connection.vendor == "sqlite" else Decimal
    # All workers lock rows in the same order, so that they cannot deadlock.
    execute_many(
        _adding(connection.vendor),
        [
            [
                *key, *line.first, when(line.started_at), when(line.last_at),
                *line.sums[: len(COUNTS)], *map(money, line.sums[len(COUNTS) :]), "",
                line.calls, money(line.cost),
            ]
            for key, line in sorted(lines.items())
        ],
    )  # fmt: skip


def _amounts(request: RequestRecord, prompt_cache_saved: Decimal | None) -> tuple[Any, ...]:
    """Return what a request adds, in the order of COUNTS and MONEY."""
    return (
        1,
        int(request.status == RequestRecord.Status.ERROR),
        int(request.cache_hit),
        int(request.cost is None),
        int(request.turn == RequestRecord.Turn.HUMAN),
        len(request.tools_called or ()),
        request.tokens_in,
        request.tokens_out,
        request.cache_read_tokens,
        request.cache_write_tokens,
        request.cost or _ZERO,
        request.savings or _ZERO,
        prompt_cache_saved or _ZERO,
    )


@cache
def _adding(vendor: str) -> str:
    names = (
        *_KEY, *_FIRST, "started_at", "last_at", *_SUMMED, "stop_reason", "calls_since_human",
        "cost_since_human",
    )  # fmt: skip
    least, greatest = ("MIN", "MAX") if vendor == "sqlite" else ("LEAST", "GREATEST")
    # SQLite adds binary floats, whose error is far less than half of the last decimal place.
    added = "ROUND({0}, 10)" if vendor == "sqlite" else "{0}"
    changes = [
        f"{name} = CASE WHEN sessions.{name} = '' THEN EXCLUDED.{name} ELSE sessions.{name} END"
        for name in _FIRST
    ]
    changes += [
        f"started_at = {least}(sessions.started_at, EXCLUDED.started_at)",
        f"last_at = {greatest}(sessions.last_at, EXCLUDED.last_at)",
    ]
    changes += [f"{name} = sessions.{name} + EXCLUDED.{name}" for name in COUNTS]
    changes += [f"{name} = {added.format(f'sessions.{name} + EXCLUDED.{name}')}" for name in MONEY]
    changes += [
        f"{name} = CASE WHEN EXCLUDED.human_turns > 0 THEN EXCLUDED.{name}"
        f" ELSE {rounded.format(f'sessions.{name} + EXCLUDED.{name}')} END"
        for name, rounded in (("calls_since_human", "{0}"), ("cost_since_human", added))
    ]
    return (
        f"INSERT INTO sessions ({', '.join(names)})"  # noqa: S608 - names are ours
        f" VALUES ({', '.join(['%s'] * len(names))})"
        f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {', '.join(changes)}"
    )


def rows_of(key: SessionKey) -> QuerySet[RequestRecord]:
    """Return the requests of a session, or of one sub-agent in it."""
    rows = RequestRecord.objects.admitted().exclude(endpoint=RequestRecord.Endpoint.BATCHES)
    rows = rows.filter(tenant=key.tenant, session_id=key.session_id)
    return rows.filter(sub_agent=key.sub_agent) if key.sub_agent else rows


def session_sums(key: SessionKey) -> dict[str, Any]:
    """Return the sums of a session, read from its requests."""
    rows = rows_of(key)
    tokens = [name for name in COUNTS if name.startswith("tokens") or name.endswith("tokens")]
    counted = rows.aggregate(
        requests=Count("pk"),
        errors=Count("pk", filter=Q(status=RequestRecord.Status.ERROR)),
        cache_hits=Count("pk", filter=Q(cache_hit=True)),
        unpriced=Count("pk", filter=Q(cost=None)),
        human_turns=Count("pk", filter=Q(turn=RequestRecord.Turn.HUMAN)),
        **{name: Sum(name, default=0) for name in tokens},
        cost=MoneySum("cost"),
        savings=MoneySum("savings"),
        prompt_cache_saved=MoneySum("decision__prompt_cache_saved"),
    )
    called = rows.exclude(tools_called=None).values_list("tools_called", flat=True)
    return {**counted, "tool_calls": sum(len(names or ()) for names in called.iterator())}


def sessions_differ() -> Iterator[SessionKey]:
    """Yield the sessions whose sums are not those of their requests.

    A session of which requests may be pruned is left out.
    """
    for row in _whole_sessions().order_by("pk").iterator(_READ_TOGETHER):
        key = SessionKey(row.tenant, row.session_id, row.sub_agent)
        sums = session_sums(key)
        if any(getattr(row, name) != sums[name] for name in _SUMMED):
            yield key


def sessions_rebuild() -> int:
    """Compute the sums of all sessions again, and return how many were different.

    A session of which requests may be pruned stays as it is.
    """
    changed = 0
    for key in sessions_differ():
        with transaction.atomic():
            row = locked_row(AgentSession, **key._asdict())
            for name, value in session_sums(key).items():
                setattr(row, name, value)
            row.save(update_fields=_SUMMED)
            changed += 1
    return changed


def _whole_sessions() -> QuerySet[AgentSession]:
    state = TotalsState.objects.first()
    if state is None or state.pruned_before is None:
        return AgentSession.objects.all()
    return AgentSession.objects.filter(started_at__gte=state.pruned_before)
