"""What has been learned, per pattern and tier."""

from __future__ import annotations

from typing import Any

from routing.models import Evidence, EvidenceKey

ENOUGH = 20
SOME = 5


def learned_insights(evidence: dict[EvidenceKey, Evidence]) -> list[dict[str, Any]]:
    """One row per pattern: its sample size, its best model, and every model's record."""
    patterns: dict[str, list[dict[str, Any]]] = {}
    for (pattern, tier, provider, model), record in evidence.items():
        patterns.setdefault(pattern, []).append(
            {
                "tier": tier,
                "provider": provider,
                "model": model,
                "sample_size": record.count,
                "quality": round(record.quality_sum / record.weight, 4),
                "confidence": _confidence(record.count),
            }
        )
    rows = []
    for pattern, models in sorted(patterns.items()):
        models.sort(key=lambda m: (-m["quality"], -m["sample_size"], m["provider"], m["model"]))
        samples = sum(m["sample_size"] for m in models)
        trusted = [m for m in models if m["sample_size"] >= SOME] or models
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
    if samples >= ENOUGH:
        return "high"
    return "medium" if samples >= SOME else "low"
