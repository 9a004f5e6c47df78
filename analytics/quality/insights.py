"""Learned quality of models, by pattern and tier."""

from __future__ import annotations

from typing import Any

from routing.models import Evidence, EvidenceKey

HIGH_CONFIDENCE_SAMPLES = 20
MEDIUM_CONFIDENCE_SAMPLES = 5


def learned_insights(evidence: dict[EvidenceKey, Evidence]) -> list[dict[str, Any]]:
    """Return one row per pattern: sample size, best model, and the figures of every model."""
    patterns: dict[str, list[dict[str, Any]]] = {}
    for (pattern, tier, provider, model), sums in evidence.items():
        patterns.setdefault(pattern, []).append(
            {
                "tier": tier,
                "provider": provider,
                "model": model,
                "sample_size": sums.count,
                "quality": round(sums.quality_sum / sums.weight, 4),
                "confidence": _confidence(sums.count),
            }
        )
    rows = []
    for pattern, models in sorted(patterns.items()):
        models.sort(key=lambda m: (-m["quality"], -m["sample_size"], m["provider"], m["model"]))
        samples = sum(m["sample_size"] for m in models)
        trusted = [m for m in models if m["sample_size"] >= MEDIUM_CONFIDENCE_SAMPLES] or models
        rows.append(
            {
                "pattern": pattern,
                "sample_size": samples,
                "confidence": _confidence(samples),
                "best_model": {k: trusted[0][k] for k in ("provider", "model", "quality")},
                "models": models,
            }
        )
    return rows


def _confidence(samples: int) -> str:
    if samples >= HIGH_CONFIDENCE_SAMPLES:
        return "high"
    return "medium" if samples >= MEDIUM_CONFIDENCE_SAMPLES else "low"
