"""Savings as they would be had the baseline answered at its own length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from math import hypot
from typing import Any

from analytics.figures import Figures
from analytics.lengths import AnswerLengths, LengthRatio, parts_of
from analytics.money import percent

_Z = 1.959964
_PLACES = Decimal("1e-10")
_ZERO = Decimal(0)


def adjusted_savings(
    savings: Mapping[str, Any], sums: Mapping[str, Figures]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The adjusted totals, and each pair's length ratio, dearest first.

    ``savings`` are :func:`analytics.savings.cost_savings`, ``sums`` those by "answer".
    The baseline's output cost of each pair of models is multiplied by the pair's
    ratio (:mod:`analytics.lengths`); ratios that are not known are 1, and
    ``known_percent`` says how much of the output cost the known ones cover. The
    interval holds both what the savings' own leaves open and the ratios' errors,
    taken as independent.
    """
    lengths = AnswerLengths(sums)
    pairs: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for value, figures in sums.items():
        _, model, baseline = parts_of(value)
        pairs[model, baseline] += figures["baseline_output_cost"]
    rows, shift, variance, known = [], _ZERO, 0.0, _ZERO
    for (model, baseline), output in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0])):
        if not output:
            continue
        found = lengths.ratio(model, baseline)
        shift += output * (Decimal(repr(found.ratio)) - 1)
        variance += (float(output) * found.error) ** 2
        known += output if found.known else _ZERO
        if model != baseline:
            rows.append(_row(model, baseline, output, found))
    total = sum(pairs.values(), _ZERO)
    return _totals(savings, shift.quantize(_PLACES), variance, percent(known, total)), rows


def _totals(
    savings: Mapping[str, Any], shift: Decimal, variance: float, known: float
) -> dict[str, Any]:
    saved = savings["total_saved"] + shift
    bounds = {"saved_low": None, "saved_high": None}
    error = _Z * variance**0.5
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


def _row(model: str, baseline: str, output: Decimal, found: LengthRatio) -> dict[str, Any]:
    return {
        "model": model,
        "baseline": baseline,
        "baseline_output_cost": output,
        "ratio": round(found.ratio, 4),
        "ratio_low": round(found.low, 4),
        "ratio_high": round(found.high, 4),
        "known": found.known,
    }
