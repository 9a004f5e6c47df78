"""Whether it helps to move a session that goes round in circles to a stronger model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from math import erf, sqrt
from typing import Any, NamedTuple

from django.db.models import Avg, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

from analytics.access.keys import tenants_known
from analytics.ledger.sessions import SessionKey, rows_of
from analytics.models import AgentSession, Feedback, RequestRecord, SessionStall
from analytics.quality.tenant_shares import ALONE
from routing.models import ModelRef

_Ends = dict[str, list[bool]]
"""Whether the agent progressed after each stall, by tenant."""
PriceOf = Callable[[RequestRecord, ModelRef], Decimal | None]
"""Returns the USD cost of a request's tokens on a model, ``None`` without a price."""

MOST_CALLS = 12
"""Calls after a stall that are weighed, the stalled one included."""
_GRACE = 2
"""Calls that may still repeat: the stalled one, and the one that shows what came of it."""
_ENDED = timedelta(hours=1)
_PAST = timedelta(days=90)
_JUDGED_TOGETHER = 200
_POOR = 0.5
_LEAST_MOVES, _LEAST_STAYS = 10, 5
_LEAST_CHANCE = 0.2
_SIDE_TURNS = ("title", "summary", "classification", "probe", "keep_alive")


class MoveFigures(NamedTuple):
    """How many stalls of a kind are judged, and after how many of them the agent progressed.

    A tenant that outweighs the others counts in part.
    """

    judged: float = 0
    progressed: float = 0


def stalls_judge(price_of: PriceOf, now: datetime | None = None) -> int:
    """Judge the stalls whose sessions went on far enough, and return how many were judged."""
    now = now or timezone.now()
    waiting = SessionStall.objects.filter(judged_at=None).order_by("at")
    judged = 0
    for stall in waiting[:_JUDGED_TOGETHER]:
        judged += _judge(stall, price_of, now)
    return judged


def _judge(stall: SessionStall, price_of: PriceOf, now: datetime) -> bool:
    calls = list(_calls_after(stall)[: MOST_CALLS + 1])
    spoken = next((i for i, call in enumerate(calls) if i and call.turn == "human"), None)
    over = spoken is not None or len(calls) >= MOST_CALLS
    if not over and calls and calls[-1].created_at > now - _ENDED:
        return False
    if not calls and stall.at > now - _ENDED:
        return False
    calls = calls[:spoken][:MOST_CALLS]
    stall.calls = len(calls)
    stall.repeated = sum(_repeats(call) for call in calls[1:])
    ids = [call.pk for call in calls]
    stall.rating = Feedback.objects.filter(request__in=ids).aggregate(mean=Avg("score"))["mean"]
    stall.progressed = _progressed(stall, calls)
    if stall.moved_to:
        stall.extra_cost = _extra_cost(stall, calls, price_of)
    stall.judged_at = now
    stall.save(
        update_fields=["calls", "repeated", "rating", "progressed", "extra_cost", "judged_at"]
    )
    return True


def _calls_after(stall: SessionStall) -> QuerySet[RequestRecord]:
    """Return the agent's own calls from the stalled one on, the oldest first."""
    key = SessionKey(stall.tenant, stall.session_id, stall.sub_agent)
    rows = rows_of(key).filter(sub_agent=stall.sub_agent, created_at__gte=stall.at)
    rows = rows.exclude(turn__in=_SIDE_TURNS)
    return rows.annotate(repeated=KeyTextTransform("repeated", "decision__metadata")).order_by(
        "created_at", "pk"
    )


def _repeats(call: Any) -> bool:
    """Return whether the steps before the call are still the same ones again and again."""
    return call.repeated is not None


def _progressed(stall: SessionStall, calls: list[RequestRecord]) -> bool | None:
    """Return whether the circle ended, ``None`` if the session broke off before it could.

    The agent went on without the same steps again, or came to an answer for a person, and no
    rating says that this answer was poor.
    """
    if not calls:
        return None
    last = calls[-1]
    ended = last.status == RequestRecord.Status.OK and not last.tools_called
    if len(calls) <= _GRACE and not ended:
        return None
    if any(map(_repeats, calls[_GRACE:])):
        return False
    return stall.rating is None or stall.rating >= _POOR


def _extra_cost(
    stall: SessionStall, calls: Iterable[RequestRecord], price_of: PriceOf
) -> Decimal | None:
    """Return what the calls cost beyond the price of their tokens on the model before, in USD."""
    extra = Decimal(0)
    before = ModelRef.parse(stall.model)
    for call in calls:
        if call.cost is None or (other := price_of(call, before)) is None:
            return None
        extra += call.cost - other
    return extra


class MovesLearned:
    """Which moves from one model to another do not help, by the judged stalls of 90 days."""

    def __init__(
        self,
        moved: Mapping[tuple[str, str], MoveFigures] | None = None,
        stayed: Mapping[str, MoveFigures] | None = None,
    ) -> None:
        self._unhelpful: dict[str, frozenset[ModelRef]] = {}
        no_figures = MoveFigures()
        for (model, to), moves in (moved or {}).items():
            if not helps(moves, (stayed or {}).get(model, no_figures)):
                known = self._unhelpful.get(model, frozenset())
                self._unhelpful[model] = known | {ModelRef.parse(to)}

    def unhelpful(self, ref: ModelRef) -> frozenset[ModelRef]:
        """Return the models to which sessions of ``ref`` are not moved any more."""
        return self._unhelpful.get(str(ref), frozenset()) if self._unhelpful else frozenset()


def helps(moved: MoveFigures, stayed: MoveFigures) -> bool:
    """Return whether moves like these go on: until they probably help no more than staying.

    The chance that more of the moved sessions progress than of those that stayed by lot is
    computed from both shares, each with one session more that progressed and one that did not
    (a uniform prior). Too few of either leave the question open.
    """
    if moved.judged < _LEAST_MOVES or stayed.judged < _LEAST_STAYS:
        return True
    mean = variance = 0.0
    for figures, sign in ((moved, 1), (stayed, -1)):
        share = (figures.progressed + 1) / (figures.judged + 2)
        mean += sign * share
        variance += share * (1 - share) / (figures.judged + 3)
    return (1 + erf(mean / sqrt(2 * variance))) / 2 >= _LEAST_CHANCE


def moves_learned() -> MovesLearned:
    """Return what the stalls of the last 90 days say of moves."""
    since = timezone.now() - _PAST
    recent = SessionStall.objects.filter(at__gte=since, progressed__isnull=False)
    moved: dict[tuple[str, str], _Ends] = defaultdict(lambda: defaultdict(list))
    stayed: dict[str, _Ends] = defaultdict(lambda: defaultdict(list))
    columns = ("tenant", "model", "moved_to", "held_back", "progressed")
    for tenant, model, to, held_back, progressed in recent.values_list(*columns):
        if to:
            moved[model, to][tenant].append(progressed)
        elif held_back:
            stayed[model][tenant].append(progressed)
    limited = len(tenants_known()) > 1
    return MovesLearned(
        {pair: _together(ends, limited=limited) for pair, ends in moved.items()},
        {model: _together(ends, limited=limited) for model, ends in stayed.items()},
    )


def _together(ends: _Ends, *, limited: bool) -> MoveFigures:
    """Add up what each tenant's stalls came to; a tenant's own loops must not decide for all.

    With ``limited``, a tenant counts for at most as much as all others together, or as
    :data:`ALONE` stalls.
    """
    total, judged, progressed = sum(map(len, ends.values())), 0.0, 0.0
    for tenant, own in ends.items():
        most = max(ALONE, total - len(own)) if limited and tenant else len(own)
        share = min(1.0, most / len(own))
        judged += share * len(own)
        progressed += share * sum(own)
    return MoveFigures(judged, progressed)


def move_figures(since: datetime) -> dict[str, Any]:
    """Return how many sessions stalled since then, and what came of moving them up or not."""
    stalls = SessionStall.objects.filter(at__gte=since)
    kinds = {
        "moved": stalls.exclude(moved_to=""),
        "stayed_by_lot": stalls.filter(moved_to="", held_back=True),
        "stayed": stalls.filter(moved_to="", held_back=False),
    }
    figures: dict[str, Any] = {}
    for name, rows in kinds.items():
        figures[name] = rows.count()
        figures[f"{name}_judged"] = rows.filter(progressed__isnull=False).count()
        figures[f"{name}_progressed"] = rows.filter(progressed=True).count()
    extra = kinds["moved"].aggregate(total=Sum("extra_cost"))["total"]
    return {**figures, "extra_cost": extra or Decimal(0)}


def stalls_of(session: AgentSession) -> list[SessionStall]:
    """Return the stalls of a session and its sub-agents, the oldest first."""
    stalls = SessionStall.objects.filter(session_id=session.session_id, tenant=session.tenant)
    return list(stalls.order_by("at")[:200])
