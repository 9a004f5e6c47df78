"""Metrics of a predictor measured in training, which its artifact stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from routing.evaluation.calibration import reliability
from routing.evaluation.curves import Pair, figures
from routing.outcomes import RecordedPrompt
from routing.training.train import TrainingResult, anchor_models

_PLACES = 6


def training_metrics(
    prompts: Sequence[RecordedPrompt],
    trained: TrainingResult,
    weak: str | None = None,
    strong: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Return by benchmark: prompts, models, APGR held out and left out, calibration errors.

    "Held out" means trained on other prompts of the same benchmarks, "left out"
    trained on the other families of benchmarks only (``None`` if there is no other).
    """
    names = np.array([p.benchmark for p in prompts])
    metrics: dict[str, dict[str, Any]] = {}
    for benchmark in sorted(set(names.tolist())):
        here = names == benchmark
        chosen = [p for p in prompts if p.benchmark == benchmark]
        named = anchor_models(chosen, weak, strong) if weak or strong else None
        errors = [
            reliability(expit(trained.held_out[here, a]), trained.quality[here, a]).error
            for a in range(2)
        ]
        metrics[benchmark] = {
            "prompts": len(chosen),
            "models": len({model for p in chosen for model in p.outcomes}),
            "anchors": list(named or ()),
            "weak_quality": round(float(trained.quality[here, 0].mean()), _PLACES),
            "strong_quality": round(float(trained.quality[here, 1].mean()), _PLACES),
            "apgr_held_out": _apgr(chosen, trained.quality[here], trained.held_out[here]),
            "apgr_left_out": _apgr(chosen, trained.quality[here], trained.left_out[here]),
            "calibration_error_weak": round(errors[0], _PLACES),
            "calibration_error_strong": round(errors[1], _PLACES),
        }
    return metrics


def _apgr(
    prompts: Sequence[RecordedPrompt], quality: NDArray[np.float64], logits: NDArray[np.float64]
) -> float | None:
    if np.isnan(logits).any():
        return None
    no_cost = np.zeros(len(prompts))
    pair = Pair([p.id for p in prompts], quality[:, 0], quality[:, 1], no_cost, no_cost)
    gap = expit(logits[:, 1]) - expit(logits[:, 0])
    return round(figures(pair, gap.tolist()).apgr, _PLACES)
