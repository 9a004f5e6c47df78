"""New decisions for past requests, based on what is known now."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal

from analytics.models import RequestRecord
from optimizer.domain.model_names import ModelNames, UnknownModel
from optimizer.domain.request import ASSUMED_MAX_TOKENS
from optimizer.domain.request_bounds import stricter
from optimizer.gateway.learned.answer_speeds import LearnedSpeeds
from optimizer.gateway.learned.output_lengths import OutputLengths
from optimizer.lab.past_ways import PastWays, effort_asked
from optimizer.policies.policy import PolicySpec, leaves_choice
from providers.completion import Usage
from providers.pricing import PriceBook
from routing.engine import RoutingEngine
from routing.models import (
    CachedConversation,
    NoEligibleModel,
    PromptAnalysis,
    RoutingContext,
    RoutingDecision,
)
from routing.prompt_text import PromptText
from routing.rules import NO_EFFECT, Effect, Rule, Subject, effect_of


@dataclass(frozen=True, slots=True)
class PastRequests:
    """Decides and prices past requests.

    The log does not contain what a request needed beyond its prompt (tools, images).
    """

    engine: RoutingEngine
    names: ModelNames
    prices: PriceBook
    speeds: LearnedSpeeds | None = None
    lengths: OutputLengths | None = None
    ways: PastWays | None = None

    def decide(
        self,
        record: RequestRecord,
        effect: Effect = NO_EFFECT,
        policy: PolicySpec | None = None,
        cached: CachedConversation | None = None,
        *,
        over_named: bool = False,
        analysis: PromptAnalysis | None = None,
    ) -> RoutingDecision | str:
        """Return the decision, or the reason why there is none.

        ``policy`` applies if the request leaves the choice of the model to the service, and with
        ``over_named`` in any case. ``cached`` is what would lie in a provider's prompt cache of the
        request's session. ``analysis`` is that of :func:`analysis_of`, if it is known already.
        """
        applies = policy and (over_named or leaves_choice(record.requested_model))
        spec = policy if applies else _requested_policy(record)
        if spec is None and effect.routed is not None:
            spec = PolicySpec("", "hybrid")
        if spec is None:
            try:
                selection = self.names.select(record.requested_model)
            except UnknownModel:
                return f"the model {record.requested_model} is no longer available"
            spec = PolicySpec("", selection.strategy, selection.only)
        effort = effort_asked(record)
        variants = None
        if self.ways is not None and spec.levers:
            variants = self.ways.of(record, spec, subject_of(record))
        context = RoutingContext(
            cached_conversation=cached,
            variants=variants,
            prompt=record.prompt,
            max_tokens=record.max_tokens or ASSUMED_MAX_TOKENS,
            max_cost=stricter(effect.cost_cap, spec.cost_cap, min),
            min_quality=stricter(effect.quality_target, spec.quality_target, max),
            only=spec.only,
            effect=effect,
            output_tokens=self.lengths.usual_of(record.turn, effort)
            if self.lengths is not None and self.lengths.known
            else None,
            speed=self.speeds.at(effort) if self.speeds is not None else None,
            max_latency=effect.latency_cap,
            effort=effort,
        )
        analysis = analysis or analysis_of(record)
        try:
            return self.engine.route(context, strategy=spec.strategy, analysis=analysis)
        except NoEligibleModel as error:
            reasons = Counter(error.excluded.values())
            return reasons.most_common(1)[0][0] if reasons else "no provider is configured"

    def cost(self, record: RequestRecord, provider: str, model: str) -> Decimal | None:
        """Return the USD cost of the request's tokens on another model; ``None`` if unpriced."""
        return self.prices.cost(provider, model, Usage(record.tokens_in, record.tokens_out))


def _requested_policy(record: RequestRecord) -> PolicySpec | None:
    """Return how a request without a model was routed; ``None`` if it named a model."""
    if record.requested_model:
        return None
    return PolicySpec("", "hybrid" if record.auto_route else "complexity")


def effect_on(rules: tuple[Rule, ...], record: RequestRecord) -> Effect:
    """Return the combined effect of ``rules`` on a past request."""
    return effect_of(rules, subject_of(record)) if rules else NO_EFFECT


def subject_of(record: RequestRecord) -> Subject:
    """Return the properties of a past request that rules match on."""
    return Subject(
        prompt=record.prompt,
        pattern=record.pattern,
        tier=record.tier,
        tokens=record.tokens_in,
        at=record.created_at,
        user_id=record.user_id,
        tags=tuple(record.tags),
        turn=record.turn,
        agent=record.agent,
        requested_model=record.requested_model,
        # The log does not say whether an answer that calls no tool might have called one.
        only_text=record.tools_called is None and record.turn != RequestRecord.Turn.TOOL_RESULT,
    )


def analysis_of(record: RequestRecord) -> PromptAnalysis:
    """Return the recorded analysis, with the text read again if the prompt is stored."""
    recorded = PromptAnalysis(
        record.pattern,
        record.complexity,
        record.tier,  # type: ignore[arg-type]  # one of the tiers: routing wrote it
        record.tokens_in,
    )
    if not record.prompt:
        return recorded
    return replace(recorded, text=PromptText.read(record.prompt))
