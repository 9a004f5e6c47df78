"""`python -m benchmarks.levers.cascade`: what a cascade costs beside choosing one model.

The truth is known: for each question it is recorded, or simulated, whether each model is right.
Nothing says what the models wrote, so the checks are simulated: each lets right and wrong answers
through with fixed probabilities, those that are guessed before any trial ("as guessed") or worse
ones ("weaker", half as telling), so that the guesses are wrong. Half of the questions teach the
mean quality of each model on each kind, as routing knows it; the other half is answered.

For each quality target the cheapest model that reaches it answers alone. The lever replaces it
where a cascade is expected to cost less at no lower quality, by routing/cascades.py: first without
any trial, then after trials on the first half, a fifth of them rated. Shown are the share of
requests that go through a cascade, and for those alone what they cost and how good they are, beside
the model that would have answered alone. The last column is their cost in relation to choosing once
at *their* quality: the cheapest mixture of two single models that is as good. Below 1, a cascade
is worth it; above 1, another single model would have been the better choice.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from routing.cascades import (
    CHECK_POWER,
    NOTHING_LEARNED,
    Cascade,
    CascadeLearning,
    CascadeOutcome,
    Checking,
    CheckPower,
    Single,
    cascades,
    frontier,
)
from routing.learning.posterior import Z

Floats = NDArray[np.float64]
_Z = 1.96
_TARGETS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
_TRIALS, _RATED = 2_000, 0.2
_JUDGE_SHARE = 0.15
"""A judge's call costs this part of the dearest model's: it reads all and writes little."""
# List prices of autumn 2024, USD per million tokens of input and output.
_PRICES = {
    "mmlu_pro": {
        "Mistral-7B-Instruct-v0.2": (0.03, 0.055),
        "Meta-Llama-3_1-8B-Instruct": (0.055, 0.055),
        "gemini-1.5-flash-002": (0.075, 0.30),
        "Meta-Llama-3_1-70B-Instruct": (0.35, 0.40),
        "gemini-1.5-pro-002": (1.25, 5.0),
    },
    "zeroeval": {
        "Meta-Llama-3.1-8B-Instruct": (0.055, 0.055),
        "gemini-1.5-flash": (0.075, 0.30),
        "gpt-4o-mini-2024-07-18": (0.15, 0.60),
        "claude-3-haiku-20240307": (0.25, 1.25),
        "Meta-Llama-3.1-70B-Instruct": (0.35, 0.40),
        "gpt-4o-2024-08-06": (2.5, 10.0),
        "claude-3-5-sonnet-20241022": (3.0, 15.0),
        "o1-mini-2024-09-12": (3.0, 12.0),
    },
}


@dataclass(frozen=True, slots=True)
class Questions:
    """Which model is right (n, models), what its answer costs in USD (n, models), and the kind."""

    name: str
    models: list[str]
    right: Floats
    cost: Floats
    kind: list[str]

    def part(self, chosen: NDArray[np.intp]) -> Questions:
        return Questions(
            self.name, self.models, self.right[chosen], self.cost[chosen],
            [self.kind[i] for i in chosen],
        )  # fmt: skip


def simulated(rng: np.random.Generator, n: int = 20_000) -> Questions:
    """Six models, each three times as dear as the one before, on questions of shared difficulty."""
    able = np.array([0.4, 1.0, 1.5, 2.1, 2.6, 3.2])
    kinds = [f"kind {k}" for k in rng.integers(0, 8, n)]
    hard = {kind: rng.normal(0.5, 1.0) for kind in sorted(set(kinds))}
    # A deviation of 1.6 in logits correlates right answers of two models by about 0.35.
    difficulty = np.array([hard[kind] for kind in kinds]) + rng.normal(0, 1.6, n)
    chance = 1 / (1 + np.exp(difficulty[:, None] - able[None, :]))
    cost = np.tile(1e-5 * 3.0 ** np.arange(6), (n, 1)) * rng.lognormal(0, 0.3, (n, 6))
    models = [f"model {i}" for i in range(6)]
    return Questions("simulated", models, (rng.random((n, 6)) < chance) * 1.0, cost, kinds)


def recorded(folder: Path, name: str) -> Questions | None:
    """Return the questions of a file that all priced models answered, ``None`` without it."""
    path = folder / f"{name}.jsonl.gz"
    if not path.exists():
        return None
    prices = _PRICES[name]
    right, cost, kinds = [], [], []
    with gzip.open(path, "rt") as file:
        for line in file:
            row = json.loads(line)
            outcomes = row["outcomes"]
            if not all(model in outcomes for model in prices):
                continue
            right.append([outcomes[model]["quality"] for model in prices])
            cost.append([
                (outcomes[m]["input_tokens"] * read + outcomes[m]["output_tokens"] * write) / 1e6
                for m, (read, write) in prices.items()
            ])  # fmt: skip
            kinds.append(
                "/".join(row["id"].split("/")[:2]) if name == "mmlu_pro" else row["benchmark"]
            )
    return Questions(name, list(prices), np.array(right), np.array(cost), kinds)


def known(questions: Questions) -> dict[str, list[Single]]:
    """Return what routing knows after these questions: each model's mean on each kind."""
    singles: dict[str, list[Single]] = {}
    for kind in sorted(set(questions.kind)):
        here = np.array([k == kind for k in questions.kind])
        right, cost = questions.right[here], questions.cost[here]
        # Routing's own estimates of a single request are about as uncertain as this.
        deviation = np.sqrt(right.var(axis=0) / max(1, len(right)) + 0.05**2)
        singles[kind] = [
            Single("m", model, float(right[:, i].mean()), float(deviation[i]),
                   Decimal(repr(float(cost[:, i].mean()))))
            for i, model in enumerate(questions.models)
        ]  # fmt: skip
    return singles


def chosen_alone(singles: Sequence[Single], target: float) -> Single:
    """Return the cheapest model whose mean quality reaches the target, else the best one."""
    ranked = frontier(singles)
    return next((one for one in ranked if one.quality >= target), ranked[-1])


def best_cascade(
    singles: Sequence[Single], alone: Single, learned: CascadeLearning, check: str, kind: str
) -> Cascade | None:
    """Return the cheapest cascade that is expected to be as good as ``alone``, as levers do."""
    dearest = max(one.cost for one in singles)
    cost = dearest * Decimal(str(_JUDGE_SHARE)) if check == "judge" else Decimal(0)
    checking = Checking((check,), more_calls=int(check == "agreement"), cost=cost)
    made = cascades(singles, learned, checking, pattern=kind, tier="moderate")
    low = alone.quality - Z * alone.deviation
    enough = (
        one
        for one in made
        if one.cost < alone.cost and one.quality >= alone.quality and one.quality_low >= low
    )
    return next(enough, None)


@dataclass(slots=True)
class Served:
    """What some requests cost (USD) and how good their answers are, each (requests,)."""

    cost: Floats
    quality: Floats
    escalated: NDArray[np.bool_]


def walk(
    questions: Questions, rows: NDArray[np.intp], cascade: Cascade, power: CheckPower,
    rng: np.random.Generator,
) -> Served:  # fmt: skip
    """Send the questions in ``rows`` through a cascade whose check has this power."""
    cheap = questions.models.index(cascade.cheap.model)
    strong = questions.models.index(cascade.strong.model)
    right = questions.right[rows, cheap]
    passes = rng.random(len(rows)) < right * power.good + (1 - right) * power.bad
    first = questions.cost[rows, cheap] * (1 + cascade.checking.more_calls)
    first = first + float(cascade.checking.cost)
    cost = first + np.where(passes, 0.0, questions.cost[rows, strong])
    quality = np.where(passes, right, questions.right[rows, strong])
    return Served(cost, quality, ~passes)


def trials(
    questions: Questions, singles: Mapping[str, list[Single]], check: str, power: CheckPower,
    target: float, rng: np.random.Generator,
) -> CascadeLearning:  # fmt: skip
    """Return what is learned from trials on ``questions``, made where the lever would act."""
    outcomes: list[CascadeOutcome] = []
    learned = NOTHING_LEARNED
    for batch in np.array_split(rng.integers(0, len(questions.kind), _TRIALS), 4):
        for kind in singles:
            rows = np.array([i for i in batch if questions.kind[i] == kind], dtype=np.intp)
            alone = chosen_alone(singles[kind], target)
            cascade = best_cascade(singles[kind], alone, learned, check, kind)
            if cascade is None or not len(rows):
                continue
            served = walk(questions, rows, cascade, power, rng)
            for quality, escalated in zip(served.quality, served.escalated, strict=True):
                outcomes.append(
                    CascadeOutcome(
                        kind,
                        "moderate",
                        cascade.cheap.ref,
                        cascade.strong.ref,
                        check,
                        not escalated,
                        cascade.passes,
                        cascade.kept,
                        cascade.escalated,
                        float(quality) if rng.random() < _RATED else None,
                    )
                )
        learned = CascadeLearning.of(outcomes)
    return learned


def cost_alone(questions: Questions, rows: NDArray[np.intp], quality: float) -> float:
    """Return the least mean cost of single models, or of mixtures of two, of this quality.

    Qualities and costs are those of the very questions in ``rows``.
    """
    points = sorted(
        zip(questions.cost[rows].mean(axis=0), questions.right[rows].mean(axis=0), strict=True)
    )
    best = min((c for c, q in points if q >= quality), default=float("nan"))
    for c1, q1 in points:
        for c2, q2 in points:
            if q1 < quality <= q2:
                share = (quality - q1) / (q2 - q1)
                mixed = c1 + share * (c2 - c1)
                best = mixed if np.isnan(best) else min(best, mixed)
    return float(best)


def compared(
    data: Questions, check: str, power: CheckPower, target: float, learns: bool,
    rng: np.random.Generator,
) -> tuple[float, float, float, float, float] | None:  # fmt: skip
    """Return (share, cost ratio, quality difference, its error, cost to that of one model)."""
    order = rng.permutation(len(data.kind))
    half = len(order) // 2
    taught, asked = data.part(order[:half]), data.part(order[half:])
    singles = known(taught)
    learned = trials(taught, singles, check, power, target, rng) if learns else NOTHING_LEARNED
    cost: list[Floats] = []
    quality: list[Floats] = []
    alone_cost: list[Floats] = []
    alone_quality: list[Floats] = []
    ratios: list[tuple[float, float]] = []
    for kind, rows in _by_kind(asked):
        alone = chosen_alone(singles[kind], target)
        cascade = best_cascade(singles[kind], alone, learned, check, kind)
        if cascade is None:
            continue
        served = walk(asked, rows, cascade, power, rng)
        one = asked.models.index(alone.model)
        cost.append(served.cost)
        quality.append(served.quality)
        alone_cost.append(asked.cost[rows, one])
        alone_quality.append(asked.right[rows, one])
        equal = cost_alone(asked, rows, float(served.quality.mean()))
        if not np.isnan(equal):
            ratios.append((float(served.cost.sum()), equal * len(rows)))
    if not cost:
        return None
    difference = np.concatenate(quality) - np.concatenate(alone_quality)
    spent = sum(one for one, _ in ratios)
    return (
        len(difference) / len(asked.kind),
        float(np.concatenate(cost).sum() / np.concatenate(alone_cost).sum()),
        float(difference.mean()),
        float(_Z * difference.std() / np.sqrt(len(difference))),
        spent / sum(other for _, other in ratios) if ratios else float("nan"),
    )


def _by_kind(questions: Questions) -> Iterator[tuple[str, NDArray[np.intp]]]:
    for kind in sorted(set(questions.kind)):
        yield kind, np.array([i for i, k in enumerate(questions.kind) if k == kind], dtype=np.intp)


def _row(data: Questions, check: str, power: CheckPower, learns: bool, seed: int) -> list[str]:
    results = [
        result
        for n, target in enumerate(_TARGETS)
        if (result := compared(data, check, power, target, learns,
                               np.random.default_rng([seed, n]))) is not None
    ]  # fmt: skip
    if not results:
        return ["0 %", "–", "–", "–"]
    weight = np.array([r[0] for r in results])
    mean = [float(np.average([r[i] for r in results], weights=weight)) for i in range(4)]
    ratios = [(r[4], r[0]) for r in results if not np.isnan(r[4])]
    equal = np.average([r for r, _ in ratios], weights=[w for _, w in ratios]) if ratios else None
    return [
        f"{weight.sum() / len(_TARGETS):.0%}",
        f"{mean[1]:.2f}",
        f"{100 * mean[2]:+.1f} ± {100 * mean[3]:.1f}",
        "–" if equal is None else f"{equal:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.levers.cascade", description=__doc__
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    options = parser.parse_args()
    sets = [simulated(np.random.default_rng(options.seed))]
    sets += [data for name in _PRICES if (data := recorded(options.data, name)) is not None]
    print(f"Python {platform.python_version()}, numpy {np.__version__}, targets {_TARGETS}")
    table = Table(
        "questions", "check", "its power", "trials", "cascaded", "cost / alone",
        "quality - alone, points", "cost / one model as good",
    )  # fmt: skip
    for data in sets:
        for check in ("schema", "agreement", "judge", "command"):
            good, bad = CHECK_POWER[check]
            middle = (good + bad) / 2
            weaker = CheckPower((good + middle) / 2, (bad + middle) / 2)
            for words, power in (("as guessed", CheckPower(good, bad)), ("weaker", weaker)):
                for learns in (False, True):
                    cells = _row(data, check, power, learns, options.seed)
                    tried = f"{_TRIALS}" if learns else "0"
                    table.add_row(f"{data.name} ({len(data.kind)})", check, words, tried, *cells)
        table.add_section()
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
