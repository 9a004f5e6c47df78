"""Savings adjusted for the baseline's own token counts of input and answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from math import hypot
from typing import Any

from analytics.money import percent
from analytics.reports.figures import Figures
from analytics.reports.intervals import Z
from analytics.reports.token_ratios import AnswerLengths, LengthRatio, parts_of

_PLACES = Decimal("1e-10")
_ZERO = Decimal(0)


def adjusted_savings(
    savings: Mapping[str, Any], sums: Mapping[str, Figures]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the adjusted totals, and each pair's ratios, most expensive first.

    ``savings`` come from :func:`analytics.ledger.savings.cost_savings`; ``sums`` are by "answer".
    The baseline's cost of the input and of the completion of each pair of models
    are multiplied by the pair's ratios (:mod:`analytics.reports.token_ratios`); ratios that are
    not known are 1, and ``known_percent`` says how much of the baseline's cost the
    known ones cover. The interval combines the savings' own interval with the errors of
    the ratios, taken as independent.
    """
    lengths = AnswerLengths(sums)
    pairs: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [_ZERO, _ZERO])
    for value, figures in sums.items():
        _, model, baseline = parts_of(value)
        output = figures["baseline_output_cost"]
        pairs[model, baseline][0] += figures["baseline_cost"] - output
        pairs[model, baseline][1] += output
    rows, shift, variance, known = [], _ZERO, 0.0, _ZERO
    for (model, baseline), costs in sorted(pairs.items(), key=lambda p: (-sum(p[1]), p[0])):
        if not any(costs):
            continue
        ratios = lengths.input_ratio(model, baseline), lengths.ratio(model, baseline)
        for cost, ratio in zip(costs, ratios, strict=True):
            shift += cost * (Decimal(repr(ratio.ratio)) - 1)
            variance += (float(cost) * ratio.error) ** 2
            known += cost if ratio.known else _ZERO
        if model != baseline:
            rows.append(_row(model, baseline, sum(costs, _ZERO), *ratios))
    total = sum((sum(costs, _ZERO) for costs in pairs.values()), _ZERO)
    return _totals(savings, shift.quantize(_PLACES), variance, percent(known, total)), rows


def _totals(
    savings: Mapping[str, Any], shift: Decimal, variance: float, known: float
) -> dict[str, Any]:
    saved = savings["total_saved"] + shift
    bounds = {"saved_low": None, "saved_high": None}
    error = Z * variance**0.5
    for name, sign in (("saved_low", -1), ("saved_high", 1)):
        if savings[name] is not None:
            half = hypot(float(savings[name] - savings["total_saved"]), error)
            bounds[name] = saved + Decimal(repr(sign * half)).quantize(_PLACES)
    baseline = savings["baseline_cost"] + shift
    return {
        "total_saved": saved,
        **bounds,
        "percent_saved": percent(saved, baseline),
        "baseline_cost": baseline,
        "known_percent": known,
    }


def _row(
    model: str, baseline: str, cost: Decimal, input_: LengthRatio, output: LengthRatio
) -> dict[str, Any]:
    return {
        "model": model,
        "baseline": baseline,
        "baseline_cost": cost,
        "input_ratio": round(input_.ratio, 4),
        "input_known": input_.known,
        "output_ratio": round(output.ratio, 4),
        "output_low": round(output.low, 4),
        "output_high": round(output.high, 4),
        "output_known": output.known,
    }
