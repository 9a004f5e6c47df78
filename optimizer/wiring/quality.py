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
from optimizer.wiring.product_settings import ProductSettings
from providers.catalogue import Catalogue
from providers.pricing import PriceBook
from providers.resilience import ResilientCaller
from routing.guarantee.calibration import Promise
from routing.models import ModelRef

logger = logging.getLogger(__name__)


def find_judge(
    product: ProductSettings, names: ModelNames, caller: ResilientCaller, prices: PriceBook
) -> tuple[ModelRef | None, str]:
    """Return the model that judges, and why there is none, "" if none is wanted."""
    if not product.judge_model:
        return None, ""
    try:
        model = names.one(product.judge_model)
    except UnknownModel as error:
        return None, str(error)
    if not caller.serves(*model):
        return None, f"{'/'.join(model)} is switched off or not configured."
    if prices.rates(*model) is None:
        return None, f"{'/'.join(model)} has no known price."
    return model, ""


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
    product: ProductSettings,
    names: ModelNames,
    caller: ResilientCaller,
    prices: PriceBook,
    database: Executor,
    budgets: Budgets,
    can_record: Callable[[], bool],
) -> Judging | None:
    """Return the judge's model and its surroundings, ``None`` if there is no model that judges."""
    model, problem = find_judge(product, names, caller, prices)
    if problem:
        logger.error("JUDGE_MODEL: %s Nothing is judged.", problem)
    if model is None:
        return None

    async def store(work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(database, work, *args)

    return Judging(PairJudge(model, caller, prices, budgets), store, can_record)


def configured_shadow(product: ProductSettings, judging: Judging | None) -> Shadow | None:
    """Return the shadow evaluation, ``None`` while SHADOW_RATE is 0 or there is no judge."""
    if not product.shadow_rate:
        return None
    if judging is None:
        logger.error("SHADOW_RATE is set, but JUDGE_MODEL names no judge. Nothing is evaluated.")
        return None
    policy = ShadowPolicy(product.shadow_rate, product.shadow_daily_budget)
    return Shadow(policy, judging.pairs, judging.store, can_record=judging.can_record)


def configured_lever_pairs(product: ProductSettings, judging: Judging | None) -> LeverPairs | None:
    """Return what judges the answers of levers, ``None`` without a judge."""
    if judging is None or not product.lever_judge_rate:
        return None
    policy = LeverPairPolicy(product.lever_judge_rate, product.lever_judge_daily_budget)
    return LeverPairs(policy, judging.pairs, judging.store, can_record=judging.can_record)


def configured_judge(
    product: ProductSettings,
    judging: Judging | None,
    guarantee: ActiveGuarantee | None,
    baselines: BaselineChoice | None = None,
) -> Judge | None:
    """Return the judge, ``None`` if its model is not set, not configured or has no known price.

    With a guarantee, the judge always compares answers with the guarantee's reference model.
    """
    if judging is None:
        return None
    reference = guarantee.reference if guarantee else None
    policy = JudgePolicy(product.judge_rate, product.judge_daily_budget, reference)
    return Judge(
        policy, judging.pairs, judging.store, baselines=baselines, can_record=judging.can_record
    )


def default_baseline(
    product: ProductSettings,
    names: ModelNames,
    catalogue: Catalogue,
    caller: ResilientCaller,
    prices: PriceBook,
) -> ModelRef | None:
    """Return the baseline of requests that name no model; ``None`` for complexity's choice.

    Raises ``ImproperlyConfigured`` if BASELINE_MODEL is unknown or has no known price.
    """
    chosen = product.baseline_model
    if chosen == COMPLEXITY:
        return None
    if not chosen:
        return dearest_model(catalogue, caller, prices)
    try:
        default = names.one(chosen)
    except UnknownModel as error:
        raise ImproperlyConfigured(f"BASELINE_MODEL: {error}") from None
    if prices.rates(*default) is None:
        raise ImproperlyConfigured(f"BASELINE_MODEL: no price is known for {'/'.join(default)}")
    return default


def configured_baseline(
    product: ProductSettings,
    names: ModelNames,
    catalogue: Catalogue,
    caller: ResilientCaller,
    prices: PriceBook,
) -> BaselineChoice:
    """Return how the baseline of a request is chosen. Raises what :func:`default_baseline` does."""
    default = default_baseline(product, names, catalogue, caller, prices)
    return BaselineChoice(names, default, complexity=product.baseline_model == COMPLEXITY)


def configured_guarantee(
    product: ProductSettings, names: ModelNames, caller: ResilientCaller
) -> ActiveGuarantee | None:
    """Return the guarantee, ``None`` if no reference model is set.

    Raises ``ImproperlyConfigured`` if the model is unknown or its provider is not configured.
    """
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
