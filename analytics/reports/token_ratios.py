"""Ratios of the token counts of two models, estimated from the recorded requests.

A baseline that is priced on the routed answer's tokens is wrong if the baseline's answer
would be longer or shorter. The ratio of a pair is estimated over the kinds of prompt
(pattern and tier) that both have answered,

    R = sum_k n_k b_k / sum_k n_k a_k

with n_k answers of the model, of mean length a_k tokens, and the baseline's mean
length b_k on prompts of that kind. This is a post-stratified ratio estimator, with its
variance by linearisation (Cochran, Sampling Techniques, 1977, chapters 5A and 6). It
assumes that within a kind, both models received the same sort of prompts.

The input needs no such assumption. How many tokens a model's tokenizer makes is known from
texts whose characters we counted: with d the model's tokens per estimated token of that
kind, R = sum_k e_k d_bk / sum_k e_k d_ak for e_k estimated tokens of the model's prompts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt

from analytics.reports.figures import Figures
from analytics.reports.intervals import Z

MIN_ANSWERS = 30
"""Answers needed of each model; with fewer, the ratio is taken as 1."""
_MIN_ANSWERS_OF_A_KIND = 5
_MIN_SHARE_COVERED = 0.5


@dataclass(frozen=True, slots=True)
class LengthRatio:
    """The baseline's tokens per token of the model, with the standard error of the ratio.

    If the ratio is not ``known``, it is 1.
    """

    ratio: float
    error: float
    known: bool

    @property
    def low(self) -> float:
        """The lower bound of the 95 % interval, taken on a log scale as ratios are skewed."""
        return self.ratio * exp(-Z * self.error / self.ratio)

    @property
    def high(self) -> float:
        """The upper bound of the 95 % interval, taken on a log scale as ratios are skewed."""
        return self.ratio * exp(Z * self.error / self.ratio)


UNKNOWN = LengthRatio(1.0, 0.0, known=False)
SAME = LengthRatio(1.0, 0.0, known=True)


@dataclass(slots=True)
class _Kind:
    """Sums of one model's prompts and answers of one kind."""

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
        """Input tokens per estimated token."""
        return self.input_tokens / self.input_estimate

    @property
    def density_variance(self) -> float:
        density = self.density
        squares = self.input_tokens_squared - 2 * density * self.input_product
        squares += density**2 * self.input_estimate_squared
        return float(max(squares, 0.0)) / self.input_estimate**2


LENGTH_FIGURES = _Kind.__slots__
"""The figures that :class:`AnswerLengths` needs."""


class AnswerLengths:
    """Token ratios of pairs of models, from sums by "answer".

    See :data:`analytics.reports.figures.KEPT`.
    """

    def __init__(self, sums: Mapping[str, Figures]) -> None:
        self._by_model: dict[str, dict[str, _Kind]] = defaultdict(dict)
        for value, figures in sums.items():
            kind, model, _ = parts_of(value)
            self._by_model[model].setdefault(kind, _Kind()).add(figures)

    def ratio(self, model: str, baseline: str) -> LengthRatio:
        """Return the output tokens of ``baseline`` ("provider/model") per token of ``model``."""
        if model == baseline:
            return SAME
        kinds = self._shared(model, baseline, "answers")
        actual = sum(mine.answer_tokens for mine, _ in kinds)
        expected = sum(mine.answers * other.mean_answer for mine, other in kinds)
        if not actual or not expected:
            return UNKNOWN
        ratio = expected / actual
        variance = sum(
            mine.answers**2 * other.answer_variance / other.answers
            + ratio**2 * mine.answers * mine.answer_variance
            for mine, other in kinds
        )
        return LengthRatio(ratio, sqrt(variance) / actual, known=True)

    def input_ratio(self, model: str, baseline: str) -> LengthRatio:
        """Return the input tokens of ``baseline`` per token of ``model``, for the same text."""
        if model == baseline:
            return SAME
        kinds = self._shared(model, baseline, "inputs")
        actual = sum(mine.input_tokens for mine, _ in kinds)
        if not actual:
            return UNKNOWN
        ratio = sum(mine.input_estimate * other.density for mine, other in kinds) / actual
        variance = sum(
            mine.input_estimate**2 * (other.density_variance + ratio**2 * mine.density_variance)
            for mine, other in kinds
        )
        return LengthRatio(ratio, sqrt(variance) / actual, known=True)

    def _shared(self, model: str, baseline: str, counted: str) -> list[tuple[_Kind, _Kind]]:
        """Return both models' sums of each kind that both have; empty if these are too few."""
        ours, theirs = self._by_model.get(model, {}), self._by_model.get(baseline, {})

        def count(kind: _Kind) -> int:
            return int(getattr(kind, counted))

        kinds = [
            (ours[kind], theirs[kind])
            for kind in sorted(ours.keys() & theirs.keys())
            if min(count(ours[kind]), count(theirs[kind])) >= _MIN_ANSWERS_OF_A_KIND
        ]
        mine, other = sum(count(a) for a, _ in kinds), sum(count(b) for _, b in kinds)
        total = sum(count(kind) for kind in ours.values())
        if min(mine, other) < MIN_ANSWERS or mine < _MIN_SHARE_COVERED * total:
            return []
        return kinds


def parts_of(value: str) -> tuple[str, str, str]:
    """Split a value of "answer" into kind of prompt, model and baseline.

    Model and baseline are "provider/model", or "/" if there is none.
    """
    answered, _, baseline = value.partition(">")
    pattern, tier, model = answered.split("/", 2)
    return f"{pattern}/{tier}", model, baseline
