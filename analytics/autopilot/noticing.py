"""Notices new models and changed prices, and opens trials for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.utils import timezone

from analytics.autopilot.steps import OPEN, RUNNING, State, trial_advance
from analytics.models import AutopilotModel, AutopilotStep, AutopilotTrial, RequestRecord
from analytics.money import dollars
from routing.models import TIERS, ModelRef

_OF_LATE = timedelta(days=7)
_ROUTED = ("hybrid", "hybrid_fallback")
_SERVING_SHARE = 0.05
"""Share of a tier's routed requests above which a model is known there, and needs no trial."""
_INPUT_SHARE = Decimal("0.75")
"""The usual share of input among the tokens of a request, by which prices are compared."""


class PricedModel(NamedTuple):
    """A model that routing may choose, at its price now, in USD per million tokens."""

    ref: ModelRef
    input: Decimal
    output: Decimal


def models_notice(models: Sequence[PricedModel], now: datetime | None = None) -> None:
    """Open a trial for each tier for every model that is new or has become cheaper.

    A cheaper model is tried only for tiers that routing did not choose it for.

    The first models of all are what there was before: they are known, and not tried. A moved
    model that has become dearer is taken back and tried again; one that is gone is given up.
    """
    now = now or timezone.now()
    if not models:
        return  # no provider is configured here, which says nothing of the installation
    known = {row.ref: row for row in AutopilotModel.objects.all()}
    if not known:
        AutopilotModel.objects.bulk_create(
            [_known(model, now) for model in models], ignore_conflicts=True
        )
        return
    for model in models:
        before = known.get(model.ref)
        if before is None:
            _notice_new(model, now)
        elif (before.input, before.output) != (model.input, model.output):
            _notice_price(model, before, now)
    available = {model.ref for model in models}
    for trial in AutopilotTrial.objects.filter(state__in=OPEN):
        if trial.ref not in available:
            ended = State.REJECTED if trial.state in (State.NOTICED, *RUNNING) else State.REVERTED
            trial_advance(trial, ended, "the model is no longer available", now=now)


def _known(model: PricedModel, now: datetime) -> AutopilotModel:
    return AutopilotModel(
        provider=model.ref.provider,
        model=model.ref.model,
        input=model.input,
        output=model.output,
        seen_at=now,
    )


def _notice_new(model: PricedModel, now: datetime) -> None:
    try:
        with transaction.atomic():
            _known(model, now).save()
            _open(model, TIERS, f"it is new, at {_words(model.input, model.output)}", now, True)
    except IntegrityError:
        return  # another worker noticed it


def _notice_price(model: PricedModel, before: AutopilotModel, now: datetime) -> None:
    old, new = _blended(before.input, before.output), _blended(model.input, model.output)
    change = (
        f"its price changed from {_words(before.input, before.output)} "
        f"to {_words(model.input, model.output)}"
    )
    with transaction.atomic():
        rows = AutopilotModel.objects.filter(pk=before.pk, input=before.input, output=before.output)
        if not rows.update(input=model.input, output=model.output, seen_at=now):
            return  # another worker noticed it
        moved = AutopilotTrial.objects.filter(
            provider=model.ref.provider, model=model.ref.model, state=State.MOVED
        )
        if new > old:
            for trial in moved:
                trial_advance(trial, State.REVERTED, change, now=now)
                _open(model, [trial.tier], change, now, trial.held)
        else:
            open_tiers = AutopilotTrial.objects.filter(
                provider=model.ref.provider, model=model.ref.model, state__in=OPEN
            ).values_list("tier", flat=True)
            # Routing takes a cheaper model for more requests at once: it is held back from those
            # that it did not serve before.
            tiers = [
                tier
                for tier in TIERS
                if tier not in set(open_tiers) and not _serves(model.ref, tier, now)
            ]
            _open(model, tiers, change, now, True)


def _serves(ref: ModelRef, tier: str, now: datetime) -> bool:
    """Return whether routing has chosen the model for a tier of late, at its old price."""
    rows = RequestRecord.objects.filter(
        tier=tier, created_at__gte=now - _OF_LATE, cache_hit=False, strategy__in=_ROUTED
    )
    own = Count("pk", filter=Q(provider=ref.provider, model=ref.model))
    sums = rows.aggregate(all=Count("pk"), own=own)
    return bool(sums["own"] > _SERVING_SHARE * sums["all"])


def _open(model: PricedModel, tiers: Iterable[str], reason: str, now: datetime, held: bool) -> None:
    for tier in tiers:
        trial = AutopilotTrial.objects.create(
            provider=model.ref.provider,
            model=model.ref.model,
            tier=tier,
            held=held,
            created_at=now,
            changed_at=now,
        )
        AutopilotStep.objects.create(
            at=now,
            trial=trial,
            subject=str(trial)[:220],
            after=State.NOTICED,
            reason=reason[:300],
            evidence={"input": model.input, "output": model.output},
        )


def _blended(input_price: Decimal, output_price: Decimal) -> Decimal:
    return _INPUT_SHARE * input_price + (1 - _INPUT_SHARE) * output_price


def _words(input_price: Decimal, output_price: Decimal) -> str:
    return f"{dollars(input_price)} in and {dollars(output_price)} out a million tokens"
