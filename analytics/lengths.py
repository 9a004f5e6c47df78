"""How much longer one model's answers are than another's, from the answers themselves.

A baseline priced on the routed answer's tokens is wrong where the baseline would
have said more, or less. The ratio of a pair is estimated over the kinds of prompt
(pattern and tier) that both have answered,

    R = sum_k n_k b_k / sum_k n_k a_k

with n_k answers of the model, of mean length a_k tokens, and the baseline's mean
length b_k on prompts of that kind: a post-stratified ratio estimator, its variance
by linearisation (Cochran, Sampling Techniques, 1977, chapters 5A and 6). It
supposes that within a kind the two were given prompts of the same sort.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt

from analytics.figures import Figures

_Z = 1.959964
LEAST = 30
"""Answers of each model; fewer say nothing, and the ratio is taken as 1."""
_LEAST_OF_A_KIND = 5
_COVERED = 0.5


@dataclass(frozen=True, slots=True)
class LengthRatio:
    """The baseline's output tokens for each of the model's: ``ratio``, its standard error, and
    whether it is ``known``; if not it is 1."""

    ratio: float
    error: float
    known: bool

    @property
    def low(self) -> float:
        """Where the ratio begins, with 95 % confidence; by its logarithm, as it is skewed."""
        return self.ratio * exp(-_Z * self.error / self.ratio)

    @property
    def high(self) -> float:
        return self.ratio * exp(_Z * self.error / self.ratio)


UNKNOWN = LengthRatio(1.0, 0.0, known=False)
SAME = LengthRatio(1.0, 0.0, known=True)


@dataclass(slots=True)
class _Lengths:
    """Of a model's answers to one kind of prompt, in output tokens."""

    count: int = 0
    total: int = 0
    squares: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def variance(self) -> float:
        spread = self.squares - self.total**2 / self.count
        return max(spread, 0.0) / max(self.count - 1, 1)


class AnswerLengths:
    """Read from sums by "answer" (:data:`analytics.figures.KEPT`)."""

    def __init__(self, sums: Mapping[str, Figures]) -> None:
        self._by_model: dict[str, dict[str, _Lengths]] = defaultdict(dict)
        for value, figures in sums.items():
            kind, model, _ = parts_of(value)
            known = self._by_model[model].setdefault(kind, _Lengths())
            known.count += figures["answers"]
            known.total += figures["answer_tokens"]
            known.squares += figures["answer_tokens_squared"]

    def ratio(self, model: str, baseline: str) -> LengthRatio:
        """Of "provider/model" and the baseline's."""
        if model == baseline:
            return SAME
        ours, theirs = self._by_model.get(model, {}), self._by_model.get(baseline, {})
        kinds = [
            (ours[kind], theirs[kind])
            for kind in sorted(ours.keys() & theirs.keys())
            if min(ours[kind].count, theirs[kind].count) >= _LEAST_OF_A_KIND
        ]
        answered = sum(mine.count for mine, _ in kinds)
        counted = sum(other.count for _, other in kinds)
        said = sum(mine.total for mine, _ in kinds)
        if min(answered, counted) < LEAST or not said or not any(other.total for _, other in kinds):
            return UNKNOWN
        if answered < _COVERED * sum(lengths.count for lengths in ours.values()):
            return UNKNOWN
        expected = sum(mine.count * other.mean for mine, other in kinds)
        ratio = expected / said
        variance = sum(
            mine.count**2 * other.variance / other.count + ratio**2 * mine.count * mine.variance
            for mine, other in kinds
        )
        return LengthRatio(ratio, sqrt(variance) / said, known=True)


def parts_of(value: str) -> tuple[str, str, str]:
    """A value of "answer" as kind of prompt, model and baseline, each "provider/model" or "/"."""
    answered, _, baseline = value.partition(">")
    pattern, tier, model = answered.split("/", 2)
    return f"{pattern}/{tier}", model, baseline
