"""How much each tenant's verdicts weigh in what routing learns for all.

Votes cost a tenant nothing, so their number must not decide. A tenant weighs, for each model on a
kind of prompt, for each model, and for each kind, whose level all models share, at most as much
as all others together, or as ``ALONE`` ratings.
Operators' ratings and imported outcomes belong to no tenant, and are not limited.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping

from routing.learning.posterior import MEMORY, PRIOR_STRENGTH
from routing.models import Evidence, EvidenceKey

ALONE = PRIOR_STRENGTH
"""Ratings that a tenant may weigh where nobody else has rated: as much as what was expected."""
_MOST = 1 / (1 - MEMORY)
"""The weight of endless ratings of one kind: more tenants are surer, but remember no longer."""

TenantEvidence = Mapping[tuple[EvidenceKey, str], Evidence]
"""Evidence by kind and tenant; "" is no tenant."""


def combined(evidence: TenantEvidence, *, limited: bool) -> dict[EvidenceKey, Evidence]:
    """Return the evidence of all tenants together, by kind.

    With ``limited``, no tenant outweighs the others; where there is one tenant alone, its
    verdicts count in full.
    """
    if limited:
        evidence = _limited(evidence, lambda kind: kind)
        evidence = _limited(evidence, lambda kind: kind[2:])
        evidence = _limited(evidence, lambda kind: kind[:2])
    sums: dict[EvidenceKey, list[Evidence]] = defaultdict(list)
    for (kind, _tenant), known in evidence.items():
        sums[kind].append(known)
    return {kind: parts[0] if len(parts) == 1 else _sum(parts) for kind, parts in sums.items()}


def _limited(
    evidence: TenantEvidence, group_of: Callable[[EvidenceKey], Hashable]
) -> TenantEvidence:
    """Scale the evidence so that no tenant outweighs the others in any group of kinds."""
    total: dict[Hashable, float] = defaultdict(float)
    own: dict[tuple[Hashable, str], float] = defaultdict(float)
    for (kind, tenant), known in evidence.items():
        group = group_of(kind)
        total[group] += known.weight
        own[group, tenant] += known.weight
    limited = {}
    for (kind, tenant), known in evidence.items():
        group = group_of(kind)
        weight = own[group, tenant]
        most = max(ALONE, total[group] - weight)
        is_over = tenant and weight > most
        limited[kind, tenant] = _scaled(known, most / weight) if is_over else known
    return limited


def _sum(parts: list[Evidence]) -> Evidence:
    whole = Evidence(
        sum(part.count for part in parts),
        sum(part.weight for part in parts),
        sum(part.quality_sum for part in parts),
        sum(part.expected_sum for part in parts),
    )
    return _scaled(whole, _MOST / whole.weight) if whole.weight > _MOST else whole


def _scaled(known: Evidence, factor: float) -> Evidence:
    return Evidence(
        known.count, known.weight * factor, known.quality_sum * factor,
        known.expected_sum * factor,
    )  # fmt: skip
