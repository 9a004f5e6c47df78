"""How often the autopilot decides rightly, where the truth is known.

    python -m benchmarks.levers.autopilot [--runs 400] [--seed 1]

Each run is a month of a tier's traffic, and one new model on trial. The trial's stages, bounds and
allowances are those of the service (:mod:`routing.guarantee.adoption`); what is simulated is the
traffic, the judge and the prices. Requests differ in size and difficulty, the judge prefers the
first position, and gives ties.

- ``better, cheaper`` and ``equal, cheaper``: should be adopted.
- ``at the margin``: loses exactly the margin. A move is wrong with a probability of at most 2.5 %.
- ``harmful, cheaper``: loses 0.1. ``better, dearer``: must not be adopted, as it saves nothing.
- ``turns bad``: is adopted, and loses 0.2 from the tenth day after on. Should be taken back.

Regret is what answers lost in truth, summed over those that the model gave to clients before it
was adopted (points), and what the trial cost (USD), by day and month.
"""

from __future__ import annotations

import argparse
import platform
import sys
from dataclasses import dataclass, field

import numpy as np

from routing.guarantee.adoption import (
    AdoptionTerms,
    bounds_of,
    decide_adoption,
    live_allowance,
    turned_bad,
)

TERMS = AdoptionTerms()
REQUESTS_A_DAY = 2_000
TRIAL_DAYS, WATCHED_DAYS = 30, 30
RATE = 0.1
SHARE = 0.1
DAILY_USD, MONTHLY_USD = 1.0, 20.0
DAILY_POINTS, MONTHLY_POINTS = 5.0, 50.0
JUDGE_USD = 0.003
LOOKS_A_DAY = 6


@dataclass(frozen=True)
class Truth:
    """A model's true loss (score below even) and its cost beside the present one's."""

    name: str
    loss: float
    cost_ratio: float
    later_loss: float | None = None


TRUTHS = (
    Truth("better, cheaper", -0.03, 0.5),
    Truth("equal, cheaper", 0.0, 0.5),
    Truth("at the margin, cheaper", TERMS.margin, 0.5),
    Truth("harmful, cheaper", 0.10, 0.3),
    Truth("very harmful, cheaper", 0.25, 0.2),
    Truth("better, dearer", -0.05, 1.3),
    Truth("turns bad", -0.02, 0.5, later_loss=0.2),
)


@dataclass
class Outcome:
    """How one run ended. Days are counted from its beginning, ``None`` if it did not happen."""

    adopted: int | None = None
    rejected: int | None = None
    reverted: int | None = None
    turned: int | None = None
    live: int = 0
    pairs: int = 0
    points: list[float] = field(default_factory=list)
    usd: list[float] = field(default_factory=list)
    lost_until_reverted: float = 0.0

    @property
    def within_budget(self) -> bool:
        """Return whether no day and no month cost more than was allowed."""
        return (
            max(self.points, default=0.0) <= DAILY_POINTS
            and sum(self.points) <= MONTHLY_POINTS
            and max(self.usd, default=0.0) <= DAILY_USD * 1.01
            and sum(self.usd) <= MONTHLY_USD * 1.01
        )


def draw_scores(rng: np.random.Generator, loss: float, n: int) -> np.ndarray:
    """Return (n,) scores of two verdicts each, whose mean is half less ``loss``.

    Prompts differ: on some the models tie often, on others one wins in both orders.
    """
    appeal = rng.beta(1.2, 1.2, n) - 0.5  # how much this prompt favours the model
    first_place = 0.08
    total = np.zeros(n)
    for bias in (first_place, -first_place):
        win = np.clip(0.5 - loss + 0.6 * appeal + bias, 0, 1)
        tie = rng.random(n) < 0.25
        total += np.where(tie, 0.5 - loss, rng.random(n) < win)
    # A tie that is worth 0.5 - loss stands for ties that go half the other way as often.
    low = np.floor(total * 2) / 4
    return np.minimum(low + 0.25 * (rng.random(n) < (total / 2 - low) / 0.25), 1.0)


def run(truth: Truth, rng: np.random.Generator) -> Outcome:
    """Return how a month of trial, and a month after a move, came out."""
    outcome, stage = Outcome(), "shadow"
    scores, savings = np.empty(0), np.empty(0)
    month_usd = month_points = 0.0
    for day in range(TRIAL_DAYS):
        day_usd = day_points = 0.0
        used = 0
        for look in range(LOOKS_A_DAY):
            n = rng.poisson(REQUESTS_A_DAY / LOOKS_A_DAY)
            present = 0.004 * rng.lognormal(-0.5, 1.0, n)
            tried = present * truth.cost_ratio * rng.lognormal(-0.02, 0.2, n)
            # Pairs, as far as the hour's part of the budget goes.
            allowed = min(
                DAILY_USD * (look + 1) / LOOKS_A_DAY - day_usd, MONTHLY_USD - month_usd - day_usd
            )
            sampled = np.flatnonzero(rng.random(n) < RATE)
            costs = tried[sampled] + 2 * JUDGE_USD
            sampled = sampled[np.cumsum(costs) <= allowed]
            day_usd += float((tried[sampled] + 2 * JUDGE_USD).sum())
            scores = np.append(scores, draw_scores(rng, truth.loss, len(sampled)))
            savings = np.append(savings, (present - tried)[sampled])
            bounds = bounds_of(scores, savings, TERMS)
            decided = decide_adoption(stage, bounds, outcome.live, TERMS)
            if decided.verdict == "live":
                stage = "live"
            if stage == "live" and decided.verdict in ("wait", "live"):
                left = min(
                    DAILY_POINTS - used * max(bounds.loss_high, 0.01),
                    MONTHLY_POINTS - outcome.live * max(bounds.loss_high, 0.01),
                )
                served = min(int(n * SHARE), live_allowance(left, bounds.loss_high))
                used += served
                outcome.live += served
                day_points += served * max(truth.loss, 0.0)
                day_usd += max(0.0, float((tried - present)[:served].sum()))
            if decided.verdict == "move":
                outcome.adopted = day
            elif decided.verdict == "reject":
                outcome.rejected = day
            if decided.verdict in ("move", "reject"):
                break
        month_usd += day_usd
        month_points += day_points
        outcome.usd.append(day_usd)
        outcome.points.append(day_points)
        if outcome.adopted is not None or outcome.rejected is not None:
            break
    outcome.pairs = len(scores)
    if outcome.adopted is not None:
        watch(truth, rng, outcome)
    return outcome


def watch(truth: Truth, rng: np.random.Generator, outcome: Outcome) -> None:
    """Go on for a month after a move, and take it back if it does harm."""
    scores = np.empty(0)
    for day in range(WATCHED_DAYS):
        bad = truth.later_loss is not None and day >= 10
        if bad and outcome.turned is None:
            outcome.turned = day
        loss = truth.later_loss if bad and truth.later_loss is not None else truth.loss
        pairs = int(DAILY_USD / (2 * JUDGE_USD + 0.004))
        for _look in range(LOOKS_A_DAY):
            n = pairs // LOOKS_A_DAY
            scores = np.append(scores, draw_scores(rng, loss, n))
            if bad:
                outcome.lost_until_reverted += REQUESTS_A_DAY / LOOKS_A_DAY * loss
            if turned_bad(scores, TERMS):
                outcome.reverted = day
                return


def main() -> None:
    """Print, for each truth, how often the autopilot decided rightly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}; {options.runs} runs each")
    print(
        f"{'truth':24} {'adopted':>8} {'final':>8} {'rejected':>8} {'reverted':>8} "
        f"{'in budget':>9} {'days':>6} {'pairs':>6} {'live':>6} {'points':>7} {'USD':>6}"
    )
    for truth in TRUTHS:
        if options.only not in truth.name:
            continue
        rng = np.random.default_rng([options.seed, len(truth.name)])
        outs = [run(truth, rng) for _ in range(options.runs)]
        adopted = [out for out in outs if out.adopted is not None]
        final = [out for out in adopted if out.reverted is None]

        def share(count: int) -> str:
            return f"{100 * count / options.runs:.1f} %"

        days = np.median([out.adopted for out in adopted]) if adopted else float("nan")
        print(
            f"{truth.name:24} {share(len(adopted)):>8} {share(len(final)):>8} "
            f"{share(sum(o.rejected is not None for o in outs)):>8} "
            f"{share(sum(o.reverted is not None for o in outs)):>8} "
            f"{share(sum(o.within_budget for o in outs)):>9} {days:6.1f} "
            f"{np.mean([o.pairs for o in outs]):6.0f} {np.mean([o.live for o in outs]):6.0f} "
            f"{np.mean([sum(o.points) for o in outs]):7.2f} "
            f"{np.mean([sum(o.usd) for o in outs]):6.2f}"
        )
        if truth.later_loss is not None and adopted:
            late = [o for o in adopted if o.turned is not None]
            early = sum(o.reverted is not None and o.turned is None for o in adopted)
            caught = [o for o in late if o.reverted is not None]
            lost = np.mean([o.lost_until_reverted for o in caught]) if caught else float("nan")
            waits = [o.reverted - o.turned + 1 for o in caught if o.reverted and o.turned]
            print(
                f"  of {len(late)} that turned bad, {len(caught)} were taken back, "
                f"within {np.median(waits):.0f} days (most {max(waits)}), after {lost:.0f} points; "
                f"{early} were taken back before"
            )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
