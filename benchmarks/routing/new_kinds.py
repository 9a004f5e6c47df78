"""`python -m benchmarks.routing.new_kinds`: what a few ratings of a new kind of prompt teach.

The truth is known: simulated worlds, and with ``--data`` recorded outcomes (JSON lines as for
train_router), in which each benchmark is a new kind in turn. The figure is the mean absolute error
of the expected quality of eight models, after some ratings that went to the first four of them
alone, most of them to one. "each model alone" is the same posterior without levels of kinds.
"""

from __future__ import annotations

import argparse
import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from routing.analysis import analyze_prompt
from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.kind_levels import KindLevels
from routing.learning.places import place_between
from routing.learning.posterior import Posterior, expit, learn, logit
from routing.learning.predictor import logit_at
from routing.models import NO_EVIDENCE, TIERS, Evidence, EvidenceKey, Tier
from routing.outcomes import read_outcomes
from routing.patterns import PATTERNS

RATINGS = (0, 5, 20, 50)
_MODELS, _RATED = 8, 4
_TO_ONE = 0.7
_KNOWN_RATINGS = 20
_FEWEST_PROMPTS = 60
_NO_LEVELS = KindLevels({})


@dataclass(frozen=True, slots=True)
class NewKind:
    """A kind of prompt that was never rated.

    ``expected`` and ``true`` are the qualities of each model, ``answers`` pairs of (expected,
    score) of each model from which ratings are drawn. ``known`` is evidence on other kinds.
    """

    pattern: str
    tier: Tier
    expected: Sequence[float]
    true: Sequence[float]
    answers: Sequence[Sequence[tuple[float, float]]]
    known: dict[EvidenceKey, Evidence]


def made_kinds(rng: np.random.Generator, worlds: int, level: float) -> Iterator[NewKind]:
    """Yield kinds whose level differs from what was expected by ``level`` (logits, one sigma).

    Models differ from what was expected of them by 0.4 in all, and by 0.5 on each kind. Three
    other kinds have 20 ratings of each of three models.
    """
    for _ in range(worlds):
        patterns = [str(name) for name in rng.permutation(PATTERNS)[:4]]
        own = rng.normal(0, 0.4, _MODELS)
        places = rng.uniform(0, 2, _MODELS)
        kinds = []
        for pattern in patterns:
            tier = TIERS[rng.integers(3)]
            base = rng.normal(1.0, 0.4) + places
            truth = base + rng.normal(0, level) + own + rng.normal(0, 0.5, _MODELS)
            expected, true = ([expit(float(x)) for x in logits] for logits in (base, truth))
            answers = [
                [(e, float(rng.random() < q)) for _ in range(200)]
                for e, q in zip(expected, true, strict=True)
            ]
            kinds.append(NewKind(pattern, tier, expected, true, answers, {}))
        known = {}
        for kind in kinds[1:]:
            for model in range(3):
                for at in range(_KNOWN_RATINGS):
                    _rate(known, kind, model, kind.answers[model][at])
        new = kinds[0]
        yield NewKind(new.pattern, new.tier, new.expected, new.true, new.answers, known)


def recorded_kinds(rng: np.random.Generator, files: Sequence[Path]) -> Iterator[NewKind]:
    """Yield each benchmark's kinds of prompts, with eight of its models."""
    # It needs SciPy, which takes half a second to load.
    from routing.training.abilities import fit_abilities

    predictor = load_artifact(SHIPPED).predictor
    prompts = list(read_outcomes(files))
    abilities = fit_abilities(prompts)
    anchors = abilities.anchors()
    kinds: dict[tuple[str, str, Tier], dict[str, list[tuple[float, float]]]]
    kinds = defaultdict(lambda: defaultdict(list))
    for prompt in prompts:
        analysis = analyze_prompt(prompt.prompt)
        assert analysis.text is not None
        everyday = predictor.expectation(
            analysis.text, analysis.pattern, analysis.complexity
        ).everyday
        answers = kinds[prompt.benchmark, analysis.pattern, analysis.tier]
        for model, outcome in prompt.outcomes.items():
            place = place_between(*anchors, abilities.of(model), 0.0).at
            answers[model].append((expit(logit_at(everyday, place)), outcome.quality))
    for (_, pattern, tier), by_model in kinds.items():
        enough = [rows for rows in by_model.values() if len(rows) >= _FEWEST_PROMPTS]
        if len(enough) < _MODELS:
            continue
        chosen = [enough[at] for at in rng.permutation(len(enough))[:_MODELS]]
        means = np.array([np.mean(rows, axis=0) for rows in chosen])
        yield NewKind(pattern, tier, means[:, 0].tolist(), means[:, 1].tolist(), chosen, {})


def errors(
    rng: np.random.Generator, kinds: Sequence[NewKind], strength: float, *, levels: bool
) -> dict[tuple[int, bool], float]:
    """Return the mean absolute error after each number of ratings, of rated and other models."""
    all_errors: dict[tuple[int, bool], list[float]] = defaultdict(list)
    for kind in kinds:
        evidence = dict(kind.known)
        rated = 0
        for ratings in RATINGS:
            for _ in range(ratings - rated):
                model = 0 if rng.random() < _TO_ONE else int(rng.integers(_RATED))
                answers = kind.answers[model]
                _rate(evidence, kind, model, answers[rng.integers(len(answers))])
            rated = ratings
            posterior = Posterior(evidence, strength, None if levels else _NO_LEVELS)
            for model, (expected, true) in enumerate(zip(kind.expected, kind.true, strict=True)):
                seen = posterior.observed(kind.pattern, kind.tier, "p", str(model))
                error = abs(expit(logit(expected) + seen.shift) - true)
                all_errors[ratings, model < _RATED].append(error)
    return {key: float(np.mean(values)) for key, values in all_errors.items()}


def _rate(
    evidence: dict[EvidenceKey, Evidence], kind: NewKind, model: int, answer: tuple[float, float]
) -> None:
    key = (kind.pattern, kind.tier, "p", str(model))
    expected, score = answer
    evidence[key] = learn(evidence.get(key, NO_EVIDENCE), score, expected)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.routing.new_kinds", description=__doc__
    )
    parser.add_argument("--worlds", type=int, default=400, help="(%(default)s)")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="recorded outcomes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    strength = load_artifact(SHIPPED).predictor.prior_strength
    print(f"Python {platform.python_version()}, a prediction is worth {strength:.0f} ratings")
    rng = np.random.default_rng(options.seed)
    sources = {
        f"simulated, levels differ by {level:g}": list(made_kinds(rng, options.worlds, level))
        for level in (0.0, 0.5, 1.0, 1.5)
    }
    if options.data:
        sources["recorded outcomes"] = list(recorded_kinds(rng, options.data))
    table = Table("truth", "models", "posterior", *(f"{n} ratings" for n in RATINGS))
    for source, kinds in sources.items():
        for rated in (True, False):
            for levels in (False, True):
                error = errors(np.random.default_rng(options.seed), kinds, strength, levels=levels)
                table.add_row(
                    source,
                    "rated" if rated else "not rated",
                    "levels shared" if levels else "each model alone",
                    *(f"{error[n, rated]:.3f}" for n in RATINGS),
                )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
