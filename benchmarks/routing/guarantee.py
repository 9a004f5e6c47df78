"""python -m benchmarks.routing.guarantee FILE...: how often the guarantee is broken.

Recorded outcomes of two models are split in two at random, again and again. On
the one half the threshold is chosen; the other half is what follows, and the
promise is broken where its mean quality lies further below the reference's than
the tolerance. A promise with 95 % confidence may be broken in 5 % of splits.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from routing.analysis import analyze_prompt
from routing.guarantee.calibration import Promise, calibrate
from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.posterior import expit
from routing.learning.predictor import logit_of_tier
from routing.outcomes import RecordedPrompt, read_outcomes

Floats = NDArray[np.float64]
_Z = 1.96


def scores_of(prompts: Sequence[RecordedPrompt]) -> Floats:
    """The quality that the shipped predictor expects of a model of the lowest tier."""
    predictor = load_artifact(SHIPPED).predictor
    found = []
    for prompt in prompts:
        analysis = analyze_prompt(prompt.prompt)
        assert analysis.text is not None
        anchors = predictor.anchors(analysis.text, analysis.pattern)
        found.append(expit(logit_of_tier(anchors, "simple")))
    return np.array(found)


def pair_of(prompts: Sequence[RecordedPrompt]) -> tuple[str, str]:
    """The second best and the best of the models that every prompt was given to."""
    common = set.intersection(*(set(p.outcomes) for p in prompts))
    mean = {m: float(np.mean([p.outcomes[m].quality for p in prompts])) for m in common}
    ranked = sorted(common, key=lambda model: (mean[model], model))
    return ranked[-2], ranked[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.routing.guarantee", description=__doc__
    )
    parser.add_argument("data", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--splits", type=int, default=500, help="of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {options.splits} splits")
    print(
        f"{'data':14s} {'prompts':>7s} {'gap':>6s} {'tolerance':>9s} {'broken, in %':>16s} "
        f"{'mean loss':>10s} {'routed':>7s} {'reference only':>15s}"
    )
    for path in options.data:
        prompts = list(read_outcomes([path]))
        weak, strong = pair_of(prompts)
        losses = np.array([p.outcomes[strong].quality - p.outcomes[weak].quality for p in prompts])
        scores = scores_of(prompts)
        for tolerance in (0.01, 0.02, 0.05, 0.1):
            study(path.name, scores, losses, tolerance, options.splits, options.seed)


def study(
    name: str, scores: Floats, losses: Floats, tolerance: float, splits: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    half = len(losses) // 2
    broken, none, loss, routed = 0, 0, [], []
    for _ in range(splits):
        order = rng.permutation(len(losses))
        seen, rest = order[:half], order[half:]
        found = calibrate(
            scores[seen], losses[seen], Promise(tolerance), following=float(len(rest))
        )
        if found.threshold is None:
            none += 1
            loss.append(0.0)
            routed.append(0.0)
            continue
        sent = scores[rest] >= found.threshold
        lost = float((losses[rest] * sent).mean())
        broken += lost > tolerance
        loss.append(lost)
        routed.append(float(sent.mean()))
    share = broken / splits
    error = _Z * sqrt(share * (1 - share) / splits)
    print(
        f"{name.split('.')[0]:14s} {len(losses):7d} {losses.mean():6.3f} {tolerance:9.2f} "
        f"{share:8.1%} ± {error:.1%} {np.mean(loss):10.4f} {np.mean(routed):7.1%} "
        f"{none / splits:15.1%}"
    )


if __name__ == "__main__":
    main()
