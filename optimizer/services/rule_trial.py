"""What rules would have done to past requests, before they go live.

Each past request is decided twice by what is known now, without rules and with
them, and priced on its own tokens, so that like is compared with like. Answers
from the cache cost nothing either way and are left out. What a request needed
beyond its prompt (tools, images) is not in the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from analytics.models import RequestRecord
from optimizer.services.asking import ASSUMED_MAX_TOKENS
from optimizer.services.model_names import ModelNames, UnknownModel
from providers.base import Usage
from providers.pricing import PriceBook
from routing.analysis import analyze_prompt
from routing.engine import RoutingEngine
from routing.models import NoEligibleModel, PromptAnalysis, RoutingContext, RoutingDecision
from routing.rules import NO_EFFECT, Effect, Rule, Subject, effect_of

_ZERO = Decimal(0)


@dataclass(slots=True)
class Trial:
    """Over ``requests`` past ones. Costs are USD of those that could be decided and priced
    both ways; ``unservable`` maps a reason to how many would be refused for it."""

    requests: int = 0
    matched: Counter[str] = field(default_factory=Counter)
    touched: int = 0
    changed: int = 0
    unservable: Counter[str] = field(default_factory=Counter)
    unpriced: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    cost_before: Decimal = _ZERO
    cost_after: Decimal = _ZERO


class RuleTrials:
    """Decides past requests anew. Reads the database: not for the event loop."""

    def __init__(self, engine: RoutingEngine, names: ModelNames, prices: PriceBook) -> None:
        self._engine = engine
        self._names = names
        self._prices = prices

    def of_last(self, count: int, rules: Sequence[Rule]) -> Trial:
        """``rules`` tried on the last ``count`` requests that a provider was asked for."""
        asked = RequestRecord.objects.filter(cache_hit=False).exclude(endpoint="embeddings")
        return self.of(asked.order_by("-created_at")[:count].iterator(), rules)

    def of(self, records: Iterable[RequestRecord], rules: Sequence[Rule]) -> Trial:
        trial = Trial()
        for record in records:
            trial.requests += 1
            self._try(record, rules, trial)
        return trial

    def _try(self, record: RequestRecord, rules: Sequence[Rule], trial: Trial) -> None:
        effect = effect_of(rules, _subject(record))
        trial.matched.update(effect.applied)
        without = self._decide(record, NO_EFFECT)
        if isinstance(without, str):
            return  # nobody could serve it now, rules or not
        if not effect.applied:
            decided: RoutingDecision | str = without
        else:
            trial.touched += 1
            decided = self._decide(record, effect)
        if isinstance(decided, str):
            trial.unservable[decided] += 1
            return
        refs = [f"{d.provider}/{d.model}" for d in (without, decided)]
        trial.before[refs[0]] += 1
        trial.after[refs[1]] += 1
        trial.changed += refs[0] != refs[1]
        costs = [self._cost(record, decision) for decision in (without, decided)]
        if costs[0] is None or costs[1] is None:
            trial.unpriced += 1
        else:
            trial.cost_before += costs[0]
            trial.cost_after += costs[1]

    def _decide(self, record: RequestRecord, effect: Effect) -> RoutingDecision | str:
        """The decision, or why there is none."""
        strategy, only = "hybrid" if record.auto_route else "complexity", None
        if record.requested_model:
            try:
                selection = self._names.select(record.requested_model)
            except UnknownModel:
                return f"the model {record.requested_model} is not to be had any more"
            strategy, only = selection.strategy, selection.only
        context = RoutingContext(
            prompt=record.prompt,
            max_tokens=record.max_tokens or ASSUMED_MAX_TOKENS,
            max_cost=effect.cost_cap,
            min_quality=effect.quality_target,
            only=only,
            effect=effect,
        )
        try:
            return self._engine.route(context, strategy=strategy, analysis=_analysis(record))
        except NoEligibleModel as error:
            reasons = Counter(error.excluded.values())
            return reasons.most_common(1)[0][0] if reasons else "no provider is configured"

    def _cost(self, record: RequestRecord, decision: RoutingDecision) -> Decimal | None:
        usage = Usage(record.tokens_in, record.tokens_out)
        return self._prices.cost(decision.provider, decision.model, usage)


def _subject(record: RequestRecord) -> Subject:
    return Subject(
        prompt=record.prompt,
        pattern=record.pattern,
        tier=record.tier,
        tokens=record.tokens_in,
        at=record.created_at,
        user_id=record.user_id,
        tags=tuple(record.tags),
    )


def _analysis(record: RequestRecord) -> PromptAnalysis:
    """As it was recorded, with the prompt read anew where it was kept."""
    text = analyze_prompt(record.prompt).text if record.prompt else None
    return PromptAnalysis(
        record.pattern,
        record.complexity,
        record.tier,  # type: ignore[arg-type]  # one of the tiers: routing wrote it
        record.tokens_in,
        text,
    )
