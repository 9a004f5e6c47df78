"""Builds the judge and the quality guarantee from settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from optimizer.budgets.reservations import Budgets
from optimizer.domain.model_names import ModelNames, UnknownModel
from optimizer.pricing.baseline_choice import COMPLEXITY, BaselineChoice, dearest_model
from optimizer.quality.guarantee import ActiveGuarantee
from optimizer.quality.judge import Judge, JudgePolicy, Store
from optimizer.quality.lever_pairs import LeverPairPolicy, LeverPairs
from optimizer.quality.pair_judge import PairJudge
from optimizer.quality.shadow import Shadow, ShadowPolicy
from optimizer.wiring.product_settings import product_settings
from providers.catalogue import Catalogue
from providers.pricing import PriceBook
from providers.resilience import ResilientCaller
from routing.guarantee.calibration import Promise
from routing.models import ModelRef

logger = logging.getLogger(__name__)


def judge_model(names: ModelNames, caller: ResilientCaller, prices: PriceBook) -> ModelRef | None:
    """Return the model that judges, ``None`` if there is none that can be called and priced."""
    product = product_settings()
    if not product.judge_model:
        return None
    try:
        model = names.one(product.judge_model)
    except UnknownModel as error:
        logger.error("JUDGE_MODEL: %s Nothing is judged.", error)
        return None
    if not caller.serves(*model) or prices.rates(*model) is None:
        reason = "has no known price" if caller.serves(*model) else "is off or not configured"
        logger.error("JUDGE_MODEL: %s %s. Nothing is judged.", "/".join(model), reason)
        return None
    return model


@dataclass(frozen=True, slots=True)
class Judging:
    """What everything needs that has answers judged in the background.

    ``store`` runs work on the thread that may use the database, ``can_record`` is whether that
    takes records.
    """

    pairs: PairJudge
    store: Store
    can_record: Callable[[], bool]


def configured_judging(
    names: ModelNames,
    caller: ResilientCaller,
    prices: PriceBook,
    database: Executor,
    budgets: Budgets,
    can_record: Callable[[], bool],
) -> Judging | None:
    """Return the judge's model and its surroundings, ``None`` if there is no model that judges."""
    model = judge_model(names, caller, prices)
    if model is None:
        return None

    async def store(work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(database, work, *args)

    return Judging(PairJudge(model, caller, prices, budgets), store, can_record)


def configured_shadow(judging: Judging | None) -> Shadow | None:
    """Return the shadow evaluation, ``None`` while SHADOW_RATE is 0 or there is no judge."""
    product = product_settings()
    if not product.shadow_rate:
        return None
    if judging is None:
        logger.error("SHADOW_RATE is set, but JUDGE_MODEL names no judge. Nothing is evaluated.")
        return None
    policy = ShadowPolicy(product.shadow_rate, product.shadow_daily_budget)
    return Shadow(policy, judging.pairs, judging.store, can_record=judging.can_record)


def configured_lever_pairs(judging: Judging | None) -> LeverPairs | None:
    """Return what judges the answers of levers, ``None`` without a judge."""
    product = product_settings()
    if judging is None or not product.lever_judge_rate:
        return None
    policy = LeverPairPolicy(product.lever_judge_rate, product.lever_judge_daily_budget)
    return LeverPairs(policy, judging.pairs, judging.store, can_record=judging.can_record)


def configured_judge(
    judging: Judging | None,
    guarantee: ActiveGuarantee | None,
    baselines: BaselineChoice | None = None,
) -> Judge | None:
    """Return the judge, ``None`` if its model is not set, not configured or has no known price.

    With a guarantee, the judge always compares answers with the guarantee's reference model.
    """
    if judging is None:
        return None
    product = product_settings()
    reference = guarantee.guarantee().reference if guarantee else None
    policy = JudgePolicy(product.judge_rate, product.judge_daily_budget, reference)
    return Judge(
        policy, judging.pairs, judging.store, baselines=baselines, can_record=judging.can_record
    )


def configured_baseline(
    names: ModelNames, catalogue: Catalogue, caller: ResilientCaller, prices: PriceBook
) -> BaselineChoice:
    """Return how the baseline of a request is chosen.

    Raises ``ImproperlyConfigured`` if BASELINE_MODEL is unknown or has no known price.
    """
    chosen = product_settings().baseline_model
    if chosen == COMPLEXITY:
        return BaselineChoice(names, None, complexity=True)
    if not chosen:
        return BaselineChoice(names, dearest_model(catalogue, caller, prices), complexity=False)
    try:
        default = names.one(chosen)
    except UnknownModel as error:
        raise ImproperlyConfigured(f"BASELINE_MODEL: {error}") from None
    if prices.rates(*default) is None:
        raise ImproperlyConfigured(f"BASELINE_MODEL: no price is known for {'/'.join(default)}")
    return BaselineChoice(names, default, complexity=False)


def configured_guarantee(names: ModelNames, caller: ResilientCaller) -> ActiveGuarantee | None:
    """Return the guarantee, ``None`` if no reference model is set.

    Raises ``ImproperlyConfigured`` if the model is unknown or its provider is not configured.
    """
    product = product_settings()
    if not product.guarantee_reference:
        return None
    try:
        reference = names.one(product.guarantee_reference)
    except UnknownModel as error:
        raise ImproperlyConfigured(f"GUARANTEE_REFERENCE: {error}") from None
    if reference[0] not in caller.providers:
        raise ImproperlyConfigured(
            f"GUARANTEE_REFERENCE: the provider of {'/'.join(reference)} is not configured"
        )
    promise = Promise(product.guarantee_tolerance, 1 - product.guarantee_confidence)
    return ActiveGuarantee(reference, promise)
