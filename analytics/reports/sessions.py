"""Sessions: searched by any id that a client can see, and shown as a timeline."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet

from analytics.ledger.sessions import COUNTS, MONEY, SessionKey, rows_of
from analytics.models import AgentSession, RequestRecord, SessionStall
from analytics.quality.session_moves import stalls_of
from analytics.reports.compared import ComparedWith, compare_savings, saved

MOST_CALLS = 500
"""The most calls of a timeline; older ones are in the list of requests."""
_MOST_SUB_AGENTS = 200
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_CALL_COLUMNS = (
    "created_at", "status", "turn", "agent", "sub_agent", "parent_agent", "requested_model",
    "provider", "model", "tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens",
    "cost", "savings", "latency_ms", "tools_called", "cache_hit", "error_code", "session_id",
    "tenant", "decision__reasoning", "decision__prompt_cache_saved", "decision__strategy_used",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TimelineCall:
    """One call of a session; ``depth`` is 0 for the main agent, 1 for its sub-agents, and so on.

    ``begins`` is true for the first call of a sub-agent, ``stall`` is set for the call at which
    the agent went round in circles.
    """

    request: RequestRecord
    depth: int
    begins: bool = False
    stall: SessionStall | None = None

    @property
    def why(self) -> str:
        """Return why the model was chosen, empty if there is no decision."""
        decision = getattr(self.request, "decision", None)
        return decision.reasoning if decision is not None else ""

    @property
    def tools(self) -> str:
        """Return the tools that the answer calls, each with its number if it is not one."""
        counts: dict[str, int] = defaultdict(int)
        for name in self.request.tools_called or ():
            counts[name] += 1
        return ", ".join(f"{name} × {n}" if n > 1 else name for name, n in counts.items())


@dataclass(slots=True)
class ToolCost:
    """What the calls that called a tool cost, in USD; a call of two tools counts for both."""

    name: str
    calls: int = 0
    cost: Decimal = field(default_factory=Decimal)


def response_session(response_id: str, tenant: str) -> str:
    """Return the session of the answer with the provider's ``response_id``, "" if unknown."""
    rows = RequestRecord.objects.filter(response_id=response_id, tenant=tenant)
    return rows.order_by("-created_at").values_list("session_id", flat=True).first() or ""


def session_find(session_id: str, tenant: str | None) -> AgentSession | None:
    """Return a session by its own id; of any tenant with ``None``, the latest first."""
    sessions = AgentSession.objects.filter(session_id=session_id, sub_agent="")
    if tenant is not None:
        sessions = sessions.filter(tenant=tenant)
    return sessions.order_by("-last_at").first()


def sessions_with(sessions: QuerySet[Any], term: str) -> QuerySet[Any]:
    """Return those of ``sessions`` that an id belongs to.

    It is the id of a session, a sub-agent, a request or an answer, as a header or a body of the
    gateway shows it. All look-ups are by index.
    """
    term = term.strip()
    requests = Q(response_id=term)
    if (match := _UUID.search(term)) is not None:
        # The ids of answers that the gateway makes hold the request's.
        requests |= Q(pk=uuid.UUID(match.group()))
    keys = set(RequestRecord.objects.filter(requests).values_list("tenant", "session_id")[:20])
    parents = AgentSession.objects.filter(sub_agent=term).values_list("tenant", "session_id")
    keys |= set(parents[:20])
    matches = Q(session_id=term)
    for tenant, session_id in keys:
        if session_id:
            matches |= Q(tenant=tenant, session_id=session_id)
    return sessions.filter(matches)


def sub_agents_of(session: AgentSession) -> Sequence[AgentSession]:
    """Return the sub-agents of a session, the dearest first."""
    rows = AgentSession.objects.filter(tenant=session.tenant, session_id=session.session_id)
    return list(rows.exclude(sub_agent="").order_by("-cost", "pk")[:_MOST_SUB_AGENTS])


def session_calls(session: AgentSession, most: int = MOST_CALLS) -> list[RequestRecord]:
    """Return the latest calls of a session, the oldest first, each with its decision."""
    rows = rows_of(SessionKey(session.tenant, session.session_id)).select_related("decision")
    latest = rows.order_by("-created_at", "-pk").only(*_CALL_COLUMNS)[:most]
    return list(latest)[::-1]


def timeline(
    calls: Iterable[RequestRecord], stalls: Iterable[SessionStall] = ()
) -> list[TimelineCall]:
    """Return calls in the order of time, those of a sub-agent together below its parent's."""
    stalled = {stall.request_id: stall for stall in stalls}
    threads: dict[str, list[RequestRecord]] = defaultdict(list)
    children: dict[str, list[str]] = defaultdict(list)
    for call in calls:
        if call.sub_agent and call.sub_agent not in threads:
            children[call.parent_agent].append(call.sub_agent)
        threads[call.sub_agent].append(call)
    # A parent whose own calls are not shown, or that names itself, has the main agent's place.
    roots = [name for name in children if name and name not in threads]
    for name in roots:
        children[""] += children.pop(name)
    lines: list[TimelineCall] = []
    seen: set[str] = set()
    lines += _thread("", 0, threads, children, seen)
    for name in threads:
        if name not in seen:
            lines += _thread(name, 1, threads, children, seen)
    if stalled:
        return [replace(line, stall=stalled.get(line.request.pk)) for line in lines]
    return lines


def _thread(
    name: str,
    depth: int,
    threads: dict[str, list[RequestRecord]],
    children: dict[str, list[str]],
    seen: set[str],
) -> Iterator[TimelineCall]:
    seen.add(name)
    waiting = sorted(
        (child for child in children.get(name, ()) if child not in seen),
        key=lambda child: threads[child][0].created_at,
    )
    for place, call in enumerate(threads.get(name, ())):
        while waiting and threads[waiting[0]][0].created_at < call.created_at:
            child = waiting.pop(0)
            if child not in seen:
                yield from _thread(child, depth + 1, threads, children, seen)
        yield TimelineCall(call, depth, begins=bool(name) and place == 0)
    for child in waiting:
        if child not in seen:
            yield from _thread(child, depth + 1, threads, children, seen)


def tool_costs(calls: Iterable[RequestRecord]) -> list[ToolCost]:
    """Return the cost by tool, the largest first; "(answer)" is for calls of no tool."""
    tools: dict[str, ToolCost] = {}
    for call in calls:
        for name in dict.fromkeys(call.tools_called or ["(answer)"]):
            tool = tools.setdefault(name, ToolCost(name))
            tool.calls += (call.tools_called or [name]).count(name)
            tool.cost += call.cost or Decimal(0)
    return sorted(tools.values(), key=lambda tool: (-tool.cost, tool.name))


def session_figures(session: AgentSession) -> dict[str, Any]:
    """Return the figures of a session or a sub-agent: money in USD, times in UTC."""
    return {
        "agent": session.agent,
        "user_id": session.user_id,
        "project": session.project,
        "started_at": session.started_at,
        "last_at": session.last_at,
        **{name: getattr(session, name) for name in (*COUNTS, *MONEY)},
    }


def session_story(
    session: AgentSession, most_calls: int, compared: ComparedWith | None = None
) -> dict[str, Any]:
    """Return a session with its sub-agents and latest calls, for the API.

    With ``compared``, savings are those against its baseline.
    """
    calls = session_calls(session, most_calls)
    compare_savings(calls, compared)
    savings = _savings_by_agent(session, compared)
    return {
        "id": session.session_id,
        **session_figures(session),
        **savings(None),
        "stopped_at": session.stopped_at,
        "stop_reason": session.stop_reason,
        "stalls": [_stall_body(stall) for stall in stalls_of(session)],
        "sub_agents": [
            {
                "id": row.sub_agent,
                "parent": row.parent_agent,
                **session_figures(row),
                **savings(row.sub_agent),
            }
            for row in sub_agents_of(session)
        ],
        "tools": [
            {"name": tool.name, "calls": tool.calls, "cost": tool.cost}
            for tool in tool_costs(calls)
        ],
        "calls": [_call_body(call) for call in timeline(calls)],
    }


def _savings_by_agent(
    session: AgentSession, compared: ComparedWith | None
) -> Callable[[str | None], dict[str, Decimal]]:
    """Return what gives the compared savings of a sub-agent, or of all with ``None``."""
    if compared is None or compared.baseline is None:
        return lambda _: {}
    requests = rows_of(SessionKey(session.tenant, session.session_id))
    figures = compared.figures(requests, F("sub_agent"))

    def savings(sub_agent: str | None) -> dict[str, Decimal]:
        own = [
            saved(one) or Decimal(0)
            for (_, name), one in figures.items()
            if sub_agent is None or name == sub_agent
        ]
        return {"savings": sum(own, Decimal(0))}

    return savings


def _stall_body(stall: SessionStall) -> dict[str, Any]:
    return {
        "request_id": stall.request_id,
        "at": stall.at,
        "sub_agent": stall.sub_agent,
        "model": stall.model,
        "moved_to": stall.moved_to,
        "held_back": stall.held_back,
        "judged_at": stall.judged_at,
        "progressed": stall.progressed,
        "calls": stall.calls,
        "repeated": stall.repeated,
        "rating": stall.rating,
        "extra_cost": stall.extra_cost,
    }


def _call_body(call: TimelineCall) -> dict[str, Any]:
    request = call.request
    return {
        "request_id": request.pk,
        "created_at": request.created_at,
        "status": request.status,
        "turn": request.turn,
        "sub_agent": request.sub_agent,
        "depth": call.depth,
        "requested_model": request.requested_model,
        "provider": request.provider,
        "model": request.model,
        "reasoning": call.why,
        "tokens_in": request.tokens_in,
        "tokens_out": request.tokens_out,
        "cache_read_tokens": request.cache_read_tokens,
        "cache_write_tokens": request.cache_write_tokens,
        "cost": request.cost,
        "savings": request.savings,
        "latency_ms": round(request.latency_ms, 2),
        "tools_called": request.tools_called or [],
        "cache_hit": request.cache_hit,
        "error_code": request.error_code,
    }


def session_stop(session: AgentSession, *, reason: str, at: datetime | None) -> None:
    """End a session at its next call, or let it go on again with ``at`` set to ``None``."""
    rows = AgentSession.objects.filter(pk=session.pk)
    rows.update(stopped_at=at, stop_reason=reason[:200] if at is not None else "")
