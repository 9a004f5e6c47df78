"""Metrics of a predictor measured in training, which its artifact stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from routing.analysis import analyze_prompt
from routing.evaluation.calibration import reliability
from routing.evaluation.curves import Pair, figures
from routing.outcomes import RecordedPrompt
from routing.training.families import family_of
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


def mix_metrics(prompts: Sequence[RecordedPrompt], trained: TrainingResult) -> dict[str, Any]:
    """Return the figures of a mix in which each benchmark has the same weight.

    APGR of complexity and held out (see :func:`training_metrics`); and of both within families,
    where the prompt's family was left out: the mean over families, weighted by how far the strong
    model leads in them. Predictors that are trained without different families do not agree on
    levels, so prompts of different families are not compared. The calibration errors of both
    models are on prompts whose family was left out; ``None`` without another family.
    """
    names = np.array([p.benchmark for p in prompts])
    benchmarks, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    weights = len(names) / len(benchmarks) / counts[place]
    complexity = [analyze_prompt(p.prompt).complexity for p in prompts]
    errors: list[float | None] = [None, None]
    if not np.isnan(trained.left_out).any():
        errors = [
            round(
                reliability(
                    expit(trained.left_out[:, a]), trained.quality[:, a], weights=weights
                ).error,
                _PLACES,
            )
            for a in range(2)
        ]
    quality = trained.quality
    return {
        "apgr_complexity": _apgr_of(prompts, quality, complexity, weights),
        "apgr_held_out": _apgr(prompts, quality, trained.held_out, weights),
        "apgr_complexity_within_families": _within_families(
            prompts, quality, np.array(complexity), weights
        ),
        "apgr_left_out_within_families": _within_families(
            prompts, quality, _gap(trained.left_out), weights
        ),
        "calibration_error_weak_left_out": errors[0],
        "calibration_error_strong_left_out": errors[1],
    }


def _apgr(
    prompts: Sequence[RecordedPrompt],
    quality: NDArray[np.float64],
    logits: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> float | None:
    if np.isnan(logits).any():
        return None
    return _apgr_of(prompts, quality, _gap(logits).tolist(), weights)


def _gap(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    gap: NDArray[np.float64] = expit(logits[:, 1]) - expit(logits[:, 0])
    return gap


def _within_families(
    prompts: Sequence[RecordedPrompt],
    quality: NDArray[np.float64],
    scores: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> float | None:
    families = np.array([family_of(p.benchmark) for p in prompts])
    names = sorted(set(families.tolist()))
    if len(names) < 2 or np.isnan(scores).any():
        return None
    values, leads = [], []
    for name in names:
        here = families == name
        lead = float(np.average(quality[here, 1] - quality[here, 0], weights=weights[here]))
        if lead > 0:
            chosen = [p for p, inside in zip(prompts, here, strict=True) if inside]
            value = _apgr_of(chosen, quality[here], scores[here].tolist(), weights[here])
            values.append(value)
            leads.append(lead)
    return round(float(np.average(values, weights=leads)), _PLACES) if values else None


def _apgr_of(
    prompts: Sequence[RecordedPrompt],
    quality: NDArray[np.float64],
    scores: Sequence[float],
    weights: NDArray[np.float64] | None,
) -> float:
    no_cost = np.zeros(len(prompts))
    pair = Pair([p.id for p in prompts], quality[:, 0], quality[:, 1], no_cost, no_cost)
    return round(figures(pair, scores, weights).apgr, _PLACES)
