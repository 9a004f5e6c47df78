"""An answer to "what if" in words and figures, the same for terminal and admin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from analytics.money import dollars
from optimizer.lab.whatif import Answer, Change

Write = Callable[[float], str]


def cost_rows(answer: Answer) -> list[tuple[str, str, str]]:
    """(what, per request, with 95 % confidence)."""
    return _rows("cost", answer.cost, _usd, _usd)


def quality_rows(answer: Answer) -> list[tuple[str, str, str]]:
    """Of quality, 0-1, likewise."""
    return _rows("quality", answer.quality, "{:.3f}".format, "{:+.3f}".format)


def _rows(
    what: str, change: Change | None, write: Write, write_change: Write
) -> list[tuple[str, str, str]]:
    if change is None:
        return []
    rows = [
        (label, write(found.mean), f"{write(found.low)} to {write(found.high)}")
        for label, found in (
            (f"{what} as it was", change.before),
            (f"{what} under the policy", change.after),
        )
    ]
    bounds = f"{write_change(change.change_low)} to {write_change(change.change_high)}"
    return [*rows, (f"change of {what}", write_change(change.change), bounds)]


def shares(answer: Answer) -> list[tuple[str, float, float]]:
    """Each model's share of the requests as it was and under the policy, in per cent."""
    return [
        (
            ref,
            100 * answer.before[ref] / answer.requests,
            100 * answer.after[ref] / answer.requests,
        )
        for ref in sorted({*answer.before, *answer.after})
    ]


def basis(answer: Answer) -> list[str]:
    """What the answer rests on, and what of it is not known."""
    counted = f"{answer.requests} requests, {answer.changed} of which another model would answer"
    said = [f"{counted}; {answer.rated} answers were rated."]
    if answer.cost is not None and answer.lengths_known < 1:
        said.append(
            f"The completion's length on the other model is known for {answer.lengths_known:.0%} "
            "of them; for the rest it is taken to be the same."
        )
    if answer.quality is not None:
        after = answer.quality.after
        said.append(
            f"Effective sample size {after.effective:.0f}; the log supports the policy's choice "
            f"for {after.supported:.0%} of the requests."
        )
    if answer.no_cost:
        said.append(f"The log cannot tell what it would cost: {answer.no_cost}.")
    if answer.no_quality:
        said.append(
            f"The log cannot tell what quality would be: {answer.no_quality}. "
            "EXPLORATION_RATE above zero makes logs that can; an experiment asks directly."
        )
    said += [f"{count} left out: {reason}." for reason, count in answer.undecided.most_common()]
    return said


def verdict(answer: Answer, tolerance: float) -> str:
    """In one sentence, quality never left out."""
    cost = _said(answer.cost, "cheaper", "dearer", "costs neither plainly more nor less")
    quality = "what it does to quality is not known"
    if (found := answer.quality) is not None:
        if found.change_low > 0:
            quality = "quality rises"
        elif found.change_low >= -tolerance:
            quality = f"quality falls by no more than {tolerance:g}"
        elif found.change_high < -tolerance:
            quality = f"quality FALLS by more than {tolerance:g}"
        else:
            quality = f"quality MAY fall by more than {tolerance:g}"
    return f"{answer.policy.name}: {cost}; {quality}."


def _said(change: Change | None, less: str, more: str, neither: str) -> str:
    if change is None:
        return "its cost is not known"
    share = abs(change.change) / change.before.mean if change.before.mean else 0.0
    if change.change_high < 0:
        return f"{share:.0%} {less}"
    return f"{share:.0%} {more}" if change.change_low > 0 else neither


def _usd(value: float) -> str:
    return dollars(Decimal(repr(value)).quantize(Decimal("1e-10")))


def as_figures(answer: Answer) -> dict[str, Any]:
    """For programs: USD and 0-1 as numbers, models by how many requests they answer."""
    return {
        "policy": answer.policy.name,
        "requests": answer.requests,
        "rated": answer.rated,
        "changed": answer.changed,
        "cost": asdict(answer.cost) if answer.cost else None,
        "quality": asdict(answer.quality) if answer.quality else None,
        "no_cost": answer.no_cost,
        "no_quality": answer.no_quality,
        "lengths_known": answer.lengths_known,
        "before": dict(answer.before),
        "after": dict(answer.after),
        "undecided": dict(answer.undecided),
    }
