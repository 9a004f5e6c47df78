"""How fast a model answers: n tokens take ``first + per_token * n`` seconds."""

from __future__ import annotations

from typing import NamedTuple


class AnswerSpeed(NamedTuple):
    """Seconds until an answer begins, and seconds for each of its tokens."""

    first: float
    per_token: float

    def seconds(self, tokens: int) -> float:
        """Return how long an answer of this length is expected to take, in seconds."""
        return self.first + self.per_token * tokens


class TimedAnswer(NamedTuple):
    """The time that an answer took.

    ``tokens`` is its length with ``reasoning`` (tokens, too), which comes before its first
    content. ``seconds`` is the time until it was complete, ``first`` until its first content,
    ``None`` if it was not streamed.
    """

    tokens: int
    seconds: float
    first: float | None = None
    reasoning: int = 0
