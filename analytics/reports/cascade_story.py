"""The calls of a request that went through a cascade, for its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analytics.models import RequestRecord, RoutingMetric

_ROLES = {
    "check_failed": "answered first, and did not pass its checks",
    "check_call": "asked for a check",
    "not_served": "answered first, and was not checked to the end",
}


@dataclass(frozen=True, slots=True)
class CascadeCall:
    """One call: the model, what it was for, and what it cost in USD, ``None`` if unknown."""

    model: str
    role: str
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class CascadeStory:
    """What happened: a sentence, the checks (name, result, reason) and the calls in their order."""

    summary: str
    checks: list[tuple[str, str, str]]
    calls: list[CascadeCall]


def cascade_story(decision: RoutingMetric, request: RequestRecord) -> CascadeStory | None:
    """Return the story of a request's cascade, ``None`` if it went through none."""
    cascade = decision.metadata.get("cascade")
    if not cascade or request.cache_hit:
        return None
    checks = [(one["check"], one["result"], one["reason"]) for one in cascade["checks"]]
    return CascadeStory(cascade["summary"], checks, list(_calls(request, cascade)))


def _calls(request: RequestRecord, cascade: Mapping[str, Any]) -> Iterator[CascadeCall]:
    for attempt in request.attempts:
        role = _ROLES.get(attempt["error"], "failed")
        model = f"{attempt['provider']}/{attempt['model']}"
        yield CascadeCall(model, role, Decimal(str(attempt["cost"])))
    if request.status != RequestRecord.Status.ERROR:
        again = "answered after a check failed" if cascade["escalated"] else "answered first"
        role = f"{again}, and was served"
        cost = None if request.cost is None else request.cost - request.failed_cost
        yield CascadeCall(str(request.ref), role, cost)
