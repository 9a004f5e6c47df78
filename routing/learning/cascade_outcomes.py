"""What recorded cascades say: how often answers pass a check, and how good they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from routing.learning.kind_levels import KindLevels
from routing.learning.posterior import PRIOR_STRENGTH, Posterior, learn
from routing.models import NO_EVIDENCE, Evidence, EvidenceKey, ModelRef, Tier


class CascadeOutcome(NamedTuple):
    """One recorded cascade: whether its cheap answer passed, and what was expected.

    ``score`` (0-1) is how good the answer that was served was, ``None`` if nobody said.
    ``passes``, ``kept`` and ``escalated`` are what :class:`routing.cascades.Cascade` expected.
    """

    pattern: str
    tier: Tier
    cheap: ModelRef
    strong: ModelRef
    checks: str
    passed: bool
    passes: float
    kept: float
    escalated: float
    score: float | None = None
    cheap_effort: str = ""
    strong_effort: str = ""


@dataclass(frozen=True, slots=True)
class CascadeLearning:
    """What recorded cascades say, by kind of prompt, of the models and the checks.

    ``passing`` is about how often answers pass, ``kept`` about the quality of those, and
    ``escalated`` about that of strong models after a failed check.
    """

    passing: Posterior = field(default_factory=lambda: _learned({}))
    kept: Posterior = field(default_factory=lambda: _learned({}))
    escalated: Posterior = field(default_factory=lambda: _learned({}))
    trials: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[CascadeOutcome]) -> CascadeLearning:
        """Return what ``outcomes``, oldest first, say."""
        passing: dict[EvidenceKey, Evidence] = {}
        kept: dict[EvidenceKey, Evidence] = {}
        escalated: dict[EvidenceKey, Evidence] = {}
        trials = 0
        for one in outcomes:
            trials += 1
            kind = (one.pattern, one.tier)
            cheap = (*kind, *checked_ref(one.cheap, one.cheap_effort, one.checks))
            _add(passing, cheap, float(one.passed), one.passes)
            if one.score is None:
                continue
            if one.passed:
                _add(kept, cheap, one.score, one.kept)
            else:
                strong = (*kind, *checked_ref(one.strong, one.strong_effort, one.checks))
                _add(escalated, strong, one.score, one.escalated)
        return cls(_learned(passing), _learned(kept), _learned(escalated), trials)


def _learned(evidence: Mapping[EvidenceKey, Evidence]) -> Posterior:
    # No level of a kind is shared: what one check lets through says nothing of another check.
    return Posterior(evidence, PRIOR_STRENGTH, KindLevels({}))


NOTHING_LEARNED = CascadeLearning()


def checked_ref(ref: ModelRef, effort: str, checks: str) -> ModelRef:
    """Return a name under which the evidence of a model, its effort and its checks is kept."""
    return ModelRef(ref.provider, f"{ref.model} {effort} {checks}")


def _add(
    evidence: dict[EvidenceKey, Evidence], key: EvidenceKey, score: float, expected: float
) -> None:
    evidence[key] = learn(evidence.get(key, NO_EVIDENCE), score, expected)
