"""How many tokens one model takes for what another takes one for, from the log itself.

A baseline priced on the routed answer's tokens is wrong where the baseline would
have said more, or less. The ratio of a pair is estimated over the kinds of prompt
(pattern and tier) that both have answered,

    R = sum_k n_k b_k / sum_k n_k a_k

with n_k answers of the model, of mean length a_k tokens, and the baseline's mean
length b_k on prompts of that kind: a post-stratified ratio estimator, its variance
by linearisation (Cochran, Sampling Techniques, 1977, chapters 5A and 6). It
supposes that within a kind the two were given prompts of the same sort.

Of the input that need not be supposed: each model's tokenizer is known by how
many tokens it made of texts whose characters we counted, so with d the tokens of
an estimated token of that kind, R = sum_k e_k d_bk / sum_k e_k d_ak for e_k
estimated tokens of the model's prompts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt

from analytics.reports.figures import Figures
from analytics.reports.intervals import Z

LEAST = 30
"""Answers of each model; fewer say nothing, and the ratio is taken as 1."""
_LEAST_OF_A_KIND = 5
_COVERED = 0.5


@dataclass(frozen=True, slots=True)
class LengthRatio:
    """The baseline's tokens for each of the model's: ``ratio``, its standard error, and
    whether it is ``known``; if not it is 1.
    """

    ratio: float
    error: float
    known: bool

    @property
    def low(self) -> float:
        """Where the ratio begins, with 95 % confidence; by its logarithm, as it is skewed."""
        return self.ratio * exp(-Z * self.error / self.ratio)

    @property
    def high(self) -> float:
        return self.ratio * exp(Z * self.error / self.ratio)


UNKNOWN = LengthRatio(1.0, 0.0, known=False)
SAME = LengthRatio(1.0, 0.0, known=True)


@dataclass(slots=True)
class _Kind:
    """One model's prompts and answers of one kind, in sums."""

    answers: int = 0
    answer_tokens: int = 0
    answer_tokens_squared: int = 0
    inputs: int = 0
    input_tokens: int = 0
    input_estimate: int = 0
    input_tokens_squared: int = 0
    input_estimate_squared: int = 0
    input_product: int = 0

    def add(self, figures: Figures) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + figures[name])

    @property
    def mean_answer(self) -> float:
        return self.answer_tokens / self.answers

    @property
    def answer_variance(self) -> float:
        spread = self.answer_tokens_squared - self.answer_tokens**2 / self.answers
        return max(spread, 0.0) / max(self.answers - 1, 1)

    @property
    def density(self) -> float:
        """Input tokens of an estimated one."""
        return self.input_tokens / self.input_estimate

    @property
    def density_variance(self) -> float:
        density = self.density
        squares = self.input_tokens_squared - 2 * density * self.input_product
        squares += density**2 * self.input_estimate_squared
        return float(max(squares, 0.0)) / self.input_estimate**2


class AnswerLengths:
    """Read from sums by "answer" (:data:`analytics.reports.figures.KEPT`)."""

    def __init__(self, sums: Mapping[str, Figures]) -> None:
        self._by_model: dict[str, dict[str, _Kind]] = defaultdict(dict)
        for value, figures in sums.items():
            kind, model, _ = parts_of(value)
            self._by_model[model].setdefault(kind, _Kind()).add(figures)

    def ratio(self, model: str, baseline: str) -> LengthRatio:
        """The output tokens of "provider/model" baseline for each of the model's."""
        if model == baseline:
            return SAME
        kinds = self._shared(model, baseline, "answers")
        said = sum(mine.answer_tokens for mine, _ in kinds)
        expected = sum(mine.answers * other.mean_answer for mine, other in kinds)
        if not said or not expected:
            return UNKNOWN
        ratio = expected / said
        variance = sum(
            mine.answers**2 * other.answer_variance / other.answers
            + ratio**2 * mine.answers * mine.answer_variance
            for mine, other in kinds
        )
        return LengthRatio(ratio, sqrt(variance) / said, known=True)

    def input_ratio(self, model: str, baseline: str) -> LengthRatio:
        """The input tokens of the baseline for each of the model's, of the same text."""
        if model == baseline:
            return SAME
        kinds = self._shared(model, baseline, "inputs")
        read = sum(mine.input_tokens for mine, _ in kinds)
        if not read:
            return UNKNOWN
        ratio = sum(mine.input_estimate * other.density for mine, other in kinds) / read
        variance = sum(
            mine.input_estimate**2 * (other.density_variance + ratio**2 * mine.density_variance)
            for mine, other in kinds
        )
        return LengthRatio(ratio, sqrt(variance) / read, known=True)

    def _shared(self, model: str, baseline: str, counted: str) -> list[tuple[_Kind, _Kind]]:
        """Both models' figures of the kinds that both know; none where that is too little."""
        ours, theirs = self._by_model.get(model, {}), self._by_model.get(baseline, {})

        def count(kind: _Kind) -> int:
            return int(getattr(kind, counted))

        kinds = [
            (ours[kind], theirs[kind])
            for kind in sorted(ours.keys() & theirs.keys())
            if min(count(ours[kind]), count(theirs[kind])) >= _LEAST_OF_A_KIND
        ]
        mine, other = sum(count(a) for a, _ in kinds), sum(count(b) for _, b in kinds)
        if min(mine, other) < LEAST or mine < _COVERED * sum(count(k) for k in ours.values()):
            return []
        return kinds


def parts_of(value: str) -> tuple[str, str, str]:
    """A value of "answer" as kind of prompt, model and baseline, each "provider/model" or "/"."""
    answered, _, baseline = value.partition(">")
    pattern, tier, model = answered.split("/", 2)
    return f"{pattern}/{tier}", model, baseline
