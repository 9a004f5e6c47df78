"""A what-if estimate as text and figures, the same for the terminal and the admin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from analytics.money import dollars
from optimizer.lab.policy_effects import Change
from optimizer.lab.whatif.study import Answer
from optimizer.presentation.counted import counted

Write = Callable[[float], str]


def cost_rows(answer: Answer) -> list[tuple[str, str, str]]:
    """Return the rows (figure, USD per request, 95 % confidence interval)."""
    return _rows("cost", answer.cost, _usd, _usd)


def quality_rows(answer: Answer) -> list[tuple[str, str, str]]:
    """Return the rows (figure, quality 0-1, 95 % confidence interval)."""
    return _rows("quality", answer.quality, "{:.3f}".format, "{:+.3f}".format)


def _rows(
    measure: str, change: Change | None, write: Write, write_change: Write
) -> list[tuple[str, str, str]]:
    if change is None:
        return []
    rows = [
        (label, write(estimate.mean), f"{write(estimate.low)} to {write(estimate.high)}")
        for label, estimate in (
            (f"{measure} as it was", change.before),
            (f"{measure} under the policy", change.after),
        )
    ]
    bounds = f"{write_change(change.change_low)} to {write_change(change.change_high)}"
    return [*rows, (f"change of {measure}", write_change(change.change), bounds)]


@dataclass(frozen=True, slots=True)
class MonthlyCost:
    """What a month costs in words: as it was, under the policy, and the change with its interval.

    ``exact`` is the change with all its digits; ``cheaper`` and ``dearer`` are whether the whole
    interval is on one side of zero.
    """

    before: str
    after: str
    change: str
    interval: str
    exact: str
    cheaper: bool
    dearer: bool


def monthly(answer: Answer) -> MonthlyCost | None:
    """Return the estimate in USD a month at the pace of the log; ``None`` if cost is unknown."""
    change = answer.cost
    if change is None or not answer.monthly:
        return None
    low, high = change.change_low * answer.monthly, change.change_high * answer.monthly
    return MonthlyCost(
        before=_round_usd(change.before.mean * answer.monthly),
        after=_round_usd(change.after.mean * answer.monthly),
        change=_signed_usd(change.change * answer.monthly),
        interval=f"{_signed_usd(low)} to {_signed_usd(high)}",
        exact=_usd(change.change * answer.monthly),
        cheaper=high < 0,
        dearer=low > 0,
    )


def mixes(answers: Sequence[Answer]) -> list[tuple[str, list[float | None]]]:
    """Return (model, percent of requests as it was and under each policy), the largest first.

    A policy whose requests could not be decided has ``None``. Each policy is compared with the
    requests that could be decided under it, which may be fewer; the recorded shares are of those
    of the policy that could decide the most.
    """
    if not answers:
        return []
    fullest = max(answers, key=lambda answer: answer.requests)
    columns = [(fullest.before, fullest.requests)]
    columns += [(answer.after, answer.requests) for answer in answers]
    refs = {ref for counts, _ in columns for ref in counts}
    rows = [
        (ref, [100 * counts[ref] / total if total else None for counts, total in columns])
        for ref in refs
    ]
    return sorted(rows, key=lambda row: (-sum(share or 0 for share in row[1]), row[0]))


def basis(answer: Answer) -> list[str]:
    """Return what the estimate is based on, and which parts of it are unknown."""
    changed = f"{answer.changed} of which another model would answer"
    rated = f"{counted(answer.rated, 'answer')} {'was' if answer.rated == 1 else 'were'} rated"
    lines = [f"{counted(answer.requests, 'request')}, {changed}; {rated}."]
    if answer.named:
        lines.append(f"{counted(answer.named, 'request')} of them named a model.")
    if answer.cost is not None and answer.monthly:
        lines.append(
            f"A month has {counted(round(answer.monthly), 'such request')} at the pace of the last "
            f"{counted(round(answer.days), 'day')}."
        )
    if answer.cost is not None and answer.lengths_known < 1:
        lines.append(
            f"The completion's length on the other model is known for {answer.lengths_known:.0%} "
            "of them; for the rest it is assumed to be the same."
        )
    if answer.quality is not None:
        after = answer.quality.after
        lines.append(
            f"Effective sample size {after.effective:.0f}; the log supports the policy's choice "
            f"for {after.supported:.0%} of the requests."
        )
    if answer.less_effort:
        lines.append(f"{counted(answer.less_effort, 'request')} would ask for less reasoning.")
    if answer.in_tier:
        seen = "" if answer.tier_seen else "; the log has no call in it, so that it is assumed to "
        lines.append(
            f"{counted(answer.in_tier, 'request')} would be asked in a cheaper tier"
            f"{seen and seen + 'take all of them'}."
        )
    if answer.no_cost:
        lines.append(f"The log cannot tell what it would cost: {answer.no_cost}.")
    if answer.no_quality:
        lines.append(
            f"The log cannot tell what quality would be: {answer.no_quality}. "
            "With EXPLORATION_RATE above zero future logs can; an experiment measures it directly."
        )
    lines += [f"{count} left out: {reason}." for reason, count in answer.undecided.most_common()]
    return lines


def verdict(answer: Answer, tolerance: float) -> str:
    """Return the estimate in one sentence, which always includes quality."""
    cost = _cost_change(answer.cost)
    quality = "the effect on quality is not known"
    if (change := answer.quality) is not None:
        if change.change_low > 0:
            quality = "quality rises"
        elif change.change_low >= -tolerance:
            quality = f"quality falls by no more than {tolerance:g}"
        elif change.change_high < -tolerance:
            quality = f"quality FALLS by more than {tolerance:g}"
        else:
            quality = f"quality MAY fall by more than {tolerance:g}"
    return f"{answer.policy.name}: {cost}; {quality}."


def _cost_change(change: Change | None) -> str:
    if change is None:
        return "its cost is not known"
    share = abs(change.change) / change.before.mean if change.before.mean else 0.0
    if change.change_high < 0:
        return f"{share:.0%} cheaper"
    if change.change_low > 0:
        return f"{share:.0%} more expensive"
    return "no clear difference in cost"


def _round_usd(value: float) -> str:
    """Return USD for people: cents below ten dollars, whole dollars above a hundred."""
    size = abs(value)
    digits = 0 if size >= 100 else 2
    if 0 < size < 0.01:
        return _usd(value)
    return f"{'-' if value < 0 else ''}${size:,.{digits}f}"


def _signed_usd(value: float) -> str:
    return f"+{_round_usd(value)}" if value > 0 else _round_usd(value)


def _usd(value: float) -> str:
    return dollars(Decimal(repr(value)).quantize(Decimal("1e-10")))


def as_figures(answer: Answer) -> dict[str, Any]:
    """Return the estimate, ready for JSON.

    Cost (USD) and quality (0-1) are numbers; ``before`` and ``after`` count requests by model.
    """
    return {
        "policy": answer.policy.name,
        "requests": answer.requests,
        "rated": answer.rated,
        "changed": answer.changed,
        "monthly_requests": answer.monthly,
        "cost": asdict(answer.cost) if answer.cost else None,
        "quality": asdict(answer.quality) if answer.quality else None,
        "no_cost": answer.no_cost,
        "no_quality": answer.no_quality,
        "lengths_known": answer.lengths_known,
        "before": dict(answer.before),
        "after": dict(answer.after),
        "undecided": dict(answer.undecided),
    }
