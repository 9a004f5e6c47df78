"""What is expected of any prompt, also of a kind that nobody trained on: harder ones gain more.

Nothing that was learned on some kinds of prompts orders prompts of other kinds better than how
demanding they look. So this model has two lines over one number, the hardness of a prompt: its
complexity, what kind of work it asks for, and, with half of the weight, whether the linear
learners expect a weak model to fail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

USUAL_COMPLEXITY, COMPLEXITY_SPREAD = 0.35, 0.17
"""Mean and standard deviation of the complexity of prompts of public benchmarks."""

# Stronger models lead most in code, mathematics and reasoning, and least in writing and in facts
# (Zheng et al. 2023, arXiv 2306.05685, results by category), in standard deviations of complexity.
_OF_WORK: Mapping[str, float] = {
    "code": 1.0,
    "reasoning": 1.0,
    "analysis": 0.3,
    "explanation": -0.3,
    "creative": -0.5,
    "factual": -1.0,
}
_DOUBT_COUNTS = 0.5
_MOST_DOUBT = 3.0
_LEAST_GAP, _LOW_GAP = 0.005, 0.03
_HIGH_GAP, _MOST_GAP = 0.45, 0.6
_LEAST_QUALITY = 0.02
# A weak model of 2023 got 7.9 of 10 points for usual questions of a chat, about 9 for writing and
# explaining and 6 for mathematics and reasoning (Zheng et al. 2023, table 8 and figure 20).
_EVERYDAY, _EVERYDAY_FALL = 0.77, 0.1
_LEAST_EVERYDAY, _MOST_EVERYDAY = 0.3, 0.95


def hardness(complexity: float, pattern: str) -> float:
    """Return how hard a prompt looks: 0 is usual, 1 is a standard deviation harder."""
    return (complexity - USUAL_COMPLEXITY) / COMPLEXITY_SPREAD + _OF_WORK.get(pattern, 0.0)


def everyday_quality(hard: float, lead: float) -> tuple[float, float]:
    """Return the quality (0-1) of a weak and a strong model on everyday work.

    ``hard`` is how hard the prompt looks, ``lead`` what the strong model has before the weak one.
    Benchmarks are chosen to be hard and count only what is exactly right. People who use an
    answer are content more often, and how content shows only in their ratings. So benchmarks
    say how far models lie apart, but not where.
    """
    weak = _EVERYDAY - _EVERYDAY_FALL * hard
    weak = min(_MOST_EVERYDAY, max(_LEAST_EVERYDAY, weak))
    weak = max(_LEAST_QUALITY, min(weak, 1 - lead - _LEAST_QUALITY))
    return weak, weak + lead


@dataclass(frozen=True, slots=True)
class General:
    """Two lines over hardness: the quality of a weak model, and a strong one's lead on it.

    ``weak`` and ``lead`` are (value at usual hardness, change for each unit). The lead rises as
    prompts get harder, so that prompts are ordered by hardness alone. ``usual`` is (mean,
    standard deviation) of the weak model's logits by linear learners that do not know the kind
    of prompt.
    """

    weak: tuple[float, float]
    lead: tuple[float, float]
    usual: tuple[float, float]

    def harder(self, hard: float, weak_logit: float) -> float:
        """Return the hardness, with what the linear learners expect of a weak model."""
        mean, spread = self.usual
        doubt = (mean - weak_logit) / spread if spread > 0 else 0.0
        return hard + _DOUBT_COUNTS * min(_MOST_DOUBT, max(-_MOST_DOUBT, doubt))

    def qualities(self, hard: float) -> tuple[float, float]:
        """Return the quality (0-1) of the weak and of the strong model at hardness ``hard``."""
        lead = _within_range(self.lead[0] + self.lead[1] * hard)
        weak = self.weak[0] + self.weak[1] * hard
        weak = min(1 - lead - _LEAST_QUALITY, max(_LEAST_QUALITY, weak))
        return weak, weak + lead


def _within_range(lead: float) -> float:
    """Return ``lead`` bent into its range; it never stops rising, so no two are equal."""
    if lead < _LOW_GAP:
        room = _LOW_GAP - _LEAST_GAP
        return _LEAST_GAP + room * math.exp((lead - _LOW_GAP) / room)
    if lead > _HIGH_GAP:
        room = _MOST_GAP - _HIGH_GAP
        return _MOST_GAP - room * math.exp((_HIGH_GAP - lead) / room)
    return lead
