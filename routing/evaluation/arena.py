"""Score a router by the formula of RouterArena (Lu et al. 2025, arXiv 2510.00202).

The arena sends each prompt to the model that the router names. Its score weighs the mean
accuracy ``A`` (0-1) against the cost of 1,000 prompts, on a logarithmic scale:

    C = (log2 200 - log2 cost) / (log2 200 - log2 0.0044)
    S = (1 + b) A C / (b A + C),  b = 0.1

Source of the formula and its constants: ``compute_arena_score`` of the arena's repository
(https://github.com/RouteWorks/RouterArena).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

_BETA = 0.1
_MOST, _LEAST = Decimal(200), Decimal("0.0044")
"""USD for 1,000 prompts; what costs more or less counts as these."""
_THOUSAND = Decimal(1000)

PairKey = tuple[str, str]
"""(the arena's index of a prompt, the arena's name of a model)."""


@dataclass(frozen=True, slots=True)
class ArenaOutcome:
    """The graded answer of one model to one prompt: accuracy 0-1, cost in USD."""

    accuracy: float
    cost: Decimal


@dataclass(frozen=True, slots=True)
class ArenaResult:
    """The figures of a router over the prompts that have an outcome of the chosen model.

    ``cost`` is USD for 1,000 prompts. ``score`` and ``accuracy`` are 0-1. ``missing`` prompts
    have no outcome of the model that the router named. ``best_accuracy`` is the mean accuracy
    of the best answer to each prompt among all recorded models, ``best_cost`` the cost for
    1,000 prompts of the cheapest of these answers.
    """

    score: float
    accuracy: float
    cost: Decimal
    prompts: int
    missing: int
    best_accuracy: float
    best_cost: Decimal


def arena_score(cost: Decimal, accuracy: float) -> float:
    """Return the score (0-1) of ``accuracy`` (0-1) at ``cost``, USD for 1,000 prompts.

    Raises ``ValueError`` if the accuracy is not between 0 and 1 or the cost is negative.
    """
    if not 0 <= accuracy <= 1:
        raise ValueError("accuracy must be between 0 and 1")
    if not cost >= 0:
        raise ValueError("cost must not be negative")
    within = min(_MOST, max(_LEAST, cost))
    cheapness = math.log2(_MOST / within) / math.log2(_MOST / _LEAST)
    weighed = _BETA * accuracy + cheapness
    return (1 + _BETA) * accuracy * cheapness / weighed if weighed else 0.0


def arena_result(
    choices: Mapping[str, str], outcomes: Mapping[PairKey, ArenaOutcome]
) -> ArenaResult | None:
    """Return the figures of ``choices``, the model by prompt; ``None`` without any outcome."""
    graded = {i: outcomes[i, model] for i, model in choices.items() if (i, model) in outcomes}
    if not graded:
        return None
    best: dict[str, ArenaOutcome] = {}
    for (index, _), outcome in outcomes.items():
        if index in graded:
            known = best.setdefault(index, outcome)
            if (-outcome.accuracy, outcome.cost) < (-known.accuracy, known.cost):
                best[index] = outcome
    accuracy, cost = _means(list(graded.values()))
    best_accuracy, best_cost = _means(list(best.values()))
    return ArenaResult(
        arena_score(cost, accuracy),
        accuracy,
        cost,
        len(graded),
        len(choices) - len(graded),
        best_accuracy,
        best_cost,
    )


def robustness(choices: Mapping[str, str], reworded: Mapping[str, str]) -> float | None:
    """Return the share (0-1) of reworded prompts that keep their model.

    Both map a prompt's index to a model. Returns ``None`` if no prompt is in both.
    """
    common = [index for index in reworded if index in choices]
    if not common:
        return None
    return sum(choices[index] == reworded[index] for index in common) / len(common)


def _means(outcomes: Sequence[ArenaOutcome]) -> tuple[float, Decimal]:
    """Return the mean accuracy and the mean cost of 1,000 prompts."""
    accuracy = sum(outcome.accuracy for outcome in outcomes) / len(outcomes)
    total = sum((outcome.cost for outcome in outcomes), Decimal(0))
    return accuracy, total / len(outcomes) * _THOUSAND
