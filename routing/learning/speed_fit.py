"""How fast a model answers, fitted on answers that it gave.

Both figures of a speed are medians, so that a few calls that hang move neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routing.answer_speed import AnswerSpeed, TimedAnswer

FEWEST_ANSWERS = 20
"""Answers from which on a speed is known."""
_MOST_ANSWERS = 100
_FEWEST_STREAMED_TOKENS = 8
"""A shorter stream often comes as one piece, which says nothing of the speed."""


def fit_speed(answers: Sequence[TimedAnswer]) -> AnswerSpeed | None:
    """Return the speed by at most the first 100 ``answers``; ``None`` if they are too few.

    The time for a token is the median over streams, measured after their first content. If few
    were streamed, it is the median slope over all pairs of answers (Theil 1950; Sen 1968). The
    time before is the median of what is left.
    """
    answers = answers[:_MOST_ANSWERS]
    if len(answers) < FEWEST_ANSWERS:
        return None
    tokens = np.array([answer.tokens for answer in answers], dtype=np.float64)
    seconds = np.array([answer.seconds for answer in answers])
    streamed = [
        (answer.seconds - answer.first) / shown
        for answer in answers
        if answer.first is not None
        and (shown := answer.tokens - answer.reasoning) >= _FEWEST_STREAMED_TOKENS
    ]
    if len(streamed) >= FEWEST_ANSWERS:
        per_token = float(np.median(streamed))
    else:
        per_token = _median_slope(tokens, seconds)
    # Nobody begins before the question: all of the time goes to the tokens at most.
    per_token = min(max(0.0, per_token), float(np.median(seconds / np.maximum(tokens, 1))))
    first = float(np.median(seconds - per_token * tokens))
    return AnswerSpeed(max(0.0, first), per_token)


def _median_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the median slope over all pairs with different ``x``; 0 if there are none."""
    one, other = np.triu_indices(len(x), 1)
    run = x[other] - x[one]
    differs = run != 0
    if not differs.any():
        return 0.0
    return float(np.median((y[other] - y[one])[differs] / run[differs]))
