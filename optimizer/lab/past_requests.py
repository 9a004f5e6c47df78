"""Past requests decided anew, by what is known now."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal

from analytics.models import RequestRecord
from optimizer.domain.model_names import ModelNames, UnknownModel
from optimizer.domain.request import ASSUMED_MAX_TOKENS, stricter
from optimizer.policies.policy import PolicySpec, leaves_choice
from providers.completion import Usage
from providers.pricing import PriceBook
from routing.analysis import analyze_prompt
from routing.engine import RoutingEngine
from routing.models import NoEligibleModel, PromptAnalysis, RoutingContext, RoutingDecision
from routing.rules import NO_EFFECT, Effect, Rule, Subject, effect_of


@dataclass(frozen=True, slots=True)
class PastRequests:
    """What a request needed beyond its prompt (tools, images) is not in the log."""

    engine: RoutingEngine
    names: ModelNames
    prices: PriceBook

    def decide(
        self,
        record: RequestRecord,
        effect: Effect = NO_EFFECT,
        policy: PolicySpec | None = None,
    ) -> RoutingDecision | str:
        """The decision, or why there is none; under ``policy`` where the request leaves the
        choice to us.
        """
        wanted = policy if policy and leaves_choice(record.requested_model) else _asked_for(record)
        if wanted is None:
            try:
                selection = self.names.select(record.requested_model)
            except UnknownModel:
                return f"the model {record.requested_model} is not to be had any more"
            wanted = PolicySpec("", selection.strategy, selection.only)
        context = RoutingContext(
            prompt=record.prompt,
            max_tokens=record.max_tokens or ASSUMED_MAX_TOKENS,
            max_cost=stricter(effect.cost_cap, wanted.cost_cap, min),
            min_quality=stricter(effect.quality_target, wanted.quality_target, max),
            only=wanted.only,
            effect=effect,
        )
        try:
            return self.engine.route(
                context, strategy=wanted.strategy, analysis=analysis_of(record)
            )
        except NoEligibleModel as error:
            reasons = Counter(error.excluded.values())
            return reasons.most_common(1)[0][0] if reasons else "no provider is configured"

    def cost(self, record: RequestRecord, provider: str, model: str) -> Decimal | None:
        """USD for the request's own tokens on another model, ``None`` without a price."""
        return self.prices.cost(provider, model, Usage(record.tokens_in, record.tokens_out))


def _asked_for(record: RequestRecord) -> PolicySpec | None:
    """As a request without a model was routed; ``None`` where it named one."""
    if record.requested_model:
        return None
    return PolicySpec("", "hybrid" if record.auto_route else "complexity")


def effect_on(rules: tuple[Rule, ...], record: RequestRecord) -> Effect:
    """What ``rules`` want of a past request."""
    return effect_of(rules, subject_of(record)) if rules else NO_EFFECT


def subject_of(record: RequestRecord) -> Subject:
    return Subject(
        prompt=record.prompt,
        pattern=record.pattern,
        tier=record.tier,
        tokens=record.tokens_in,
        at=record.created_at,
        user_id=record.user_id,
        tags=tuple(record.tags),
    )


def analysis_of(record: RequestRecord) -> PromptAnalysis:
    """As it was recorded, with the prompt read anew where it was kept."""
    known = PromptAnalysis(
        record.pattern,
        record.complexity,
        record.tier,  # type: ignore[arg-type]  # one of the tiers: routing wrote it
        record.tokens_in,
    )
    return replace(known, text=analyze_prompt(record.prompt).text) if record.prompt else known
