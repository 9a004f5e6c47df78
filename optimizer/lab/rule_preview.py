"""Rule previews: what rules would have done to past requests, before they go live.

Each past request is decided twice, without and with the rules, based on what is known
now. Both decisions are priced on the request's own tokens, so that the costs are
comparable. Answers from the cache cost nothing either way and are left out. The log does
not contain what a request needed beyond its prompt (tools, images).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from analytics.models import RequestRecord
from optimizer.domain.request import NO_CHATS
from optimizer.lab.past_requests import PastRequests, effect_on
from routing.models import RoutingDecision
from routing.rules import Rule

_ZERO = Decimal(0)


@dataclass(slots=True)
class RulePreview:
    """The effect of rules on ``requests`` past requests.

    Costs are USD, of the requests that could be decided and priced both ways.
    ``unservable`` maps a reason to the number of requests that would be refused for it;
    ``unchecked`` had a latency cap, but the speed of no model that can serve them is known.
    """

    requests: int = 0
    matched: Counter[str] = field(default_factory=Counter)
    touched: int = 0
    changed: int = 0
    unservable: Counter[str] = field(default_factory=Counter)
    unpriced: int = 0
    unchecked: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    cost_before: Decimal = _ZERO
    cost_after: Decimal = _ZERO


class RulePreviews:
    """Tries rules on past requests. Reads the database: not for the event loop."""

    def __init__(self, past: PastRequests) -> None:
        self._past = past

    def of_last(self, count: int, rules: Sequence[Rule]) -> RulePreview:
        """Try ``rules`` on the last ``count`` requests that called a provider."""
        called = (
            RequestRecord.objects.admitted().filter(cache_hit=False).exclude(endpoint__in=NO_CHATS)
        )
        return self.of(called.order_by("-created_at")[:count].iterator(), rules)

    def of(self, records: Iterable[RequestRecord], rules: Sequence[Rule]) -> RulePreview:
        """Try ``rules`` on ``records``."""
        trial = RulePreview()
        for record in records:
            trial.requests += 1
            self._try(record, rules, trial)
        return trial

    def _try(self, record: RequestRecord, rules: Sequence[Rule], trial: RulePreview) -> None:
        effect = effect_on(tuple(rules), record)
        trial.matched.update(effect.applied)
        without = self._past.decide(record)
        if isinstance(without, str):
            return  # no model can serve it now, with or without rules
        if not effect.applied:
            decided: RoutingDecision | str = without
        else:
            trial.touched += 1
            decided = self._past.decide(record, effect)
        if isinstance(decided, str):
            trial.unservable[decided] += 1
            return
        refs = [str(d.ref) for d in (without, decided)]
        trial.before[refs[0]] += 1
        trial.after[refs[1]] += 1
        trial.changed += refs[0] != refs[1]
        trial.unchecked += _latency_unknown(decided)
        costs = [self._past.cost(record, d.provider, d.model) for d in (without, decided)]
        if costs[0] is None or costs[1] is None:
            trial.unpriced += 1
        else:
            trial.cost_before += costs[0]
            trial.cost_after += costs[1]


def _latency_unknown(decided: RoutingDecision) -> bool:
    """Return whether there is a latency cap, and the chosen model's latency is not known."""
    return "max_latency" in decided.metadata and any(
        candidate["chosen"] and candidate.get("expected_latency") is None
        for candidate in decided.metadata["candidates"]
    )
