"""Builds the autopilot from settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from analytics.autopilot.course import AutopilotPolicy, autopilot_run, usd_spent
from analytics.autopilot.noticing import PricedModel
from analytics.autopilot.steps import autopilot_on
from analytics.autopilot.uses import month_start, uses_take
from analytics.models import Comparison
from optimizer.gateway.model_options import AvailableModels
from optimizer.policies.autopilot import ActiveAutopilot, ActiveTrial, trials_load
from optimizer.quality.judge_pace import JudgePace
from optimizer.quality.second_answers import SecondAnswers
from optimizer.quality.trial_answers import TrialAnswers
from optimizer.wiring.product_settings import ProductSettings
from optimizer.wiring.quality import Judging
from routing.guarantee.adoption import AdoptionTerms

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Autopilot:
    """The parts of the autopilot; ``run`` is its periodic task, for one worker at a time."""

    active: ActiveAutopilot | None = None
    answers: TrialAnswers | None = None
    run: Callable[[], object] = lambda: None


def autopilot_policy(product: ProductSettings) -> AutopilotPolicy:
    """Return what the autopilot may do, as the settings say."""
    return AutopilotPolicy(
        on=product.autopilot,
        terms=AdoptionTerms(
            margin=product.autopilot_margin, delta=1 - product.autopilot_confidence
        ),
        share=product.autopilot_share,
        daily_usd=product.autopilot_daily_budget,
        monthly_usd=product.autopilot_monthly_budget,
        daily_points=product.autopilot_daily_points,
        monthly_points=product.autopilot_monthly_points,
        trial_days=product.autopilot_trial_days,
    )


def autopilot_obstacle(product: ProductSettings) -> str:
    """Return why the autopilot cannot work, "" if it can."""
    if not product.judge_model:
        return "JUDGE_MODEL is not set, so nothing can be judged"
    if product.guarantee_reference:
        return "GUARANTEE_REFERENCE is set, and a move would take requests from the guarantee"
    return ""


def priced_models(options: AvailableModels) -> list[PricedModel]:
    """Return the models that routing may choose and whose price is known."""
    return [
        PricedModel(option.ref, option.input_price, option.output_price)
        for option in options.options()
        if option.input_price is not None and option.output_price is not None
    ]


def configured_autopilot(
    product: ProductSettings, judging: Judging | None, options: AvailableModels
) -> Autopilot:
    """Return the autopilot; without a judge, or beside a guarantee, it does nothing."""
    obstacle = autopilot_obstacle(product)
    if obstacle:
        if product.autopilot:
            logger.error("AUTOPILOT: %s. The autopilot does nothing.", obstacle)
        return Autopilot()
    if judging is None:
        return Autopilot()
    policy = autopilot_policy(product)

    def load() -> list[ActiveTrial]:
        return trials_load() if autopilot_on(by_default=product.autopilot) else []

    def may_spend() -> bool:
        return usd_spent(month_start(datetime.now(UTC))) < policy.monthly_usd

    active = ActiveAutopilot(
        load, lambda trial: uses_take(trial, datetime.now(UTC).date()), policy.share
    )
    pace = JudgePace(product.autopilot_rate, policy.daily_usd, Comparison.Source.AUTOPILOT)
    answers = SecondAnswers(
        judging.pairs,
        judging.store,
        pace,
        can_record=judging.can_record,
        may_spend=may_spend,
    )
    return Autopilot(
        active,
        TrialAnswers(active, answers, pace, product.autopilot_rate),
        lambda: autopilot_run(policy, priced_models(options)),
    )
