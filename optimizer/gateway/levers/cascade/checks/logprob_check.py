"""The model must have been sure of its words, by the probabilities that its provider reports."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from optimizer.gateway.levers.cascade.checks.verdicts import CheckedAnswer, Verdict
from providers.chat import Chat
from providers.completion import Completion, RelayedAnswer

_OPENAI = "openai"


class LogprobCheck:
    """Applies where the provider gives probabilities of the answer's tokens.

    ``margin`` (0-1) is the least mean lead of the written token over the next best one.
    """

    name = "logprobs"

    def __init__(self, margin: float) -> None:
        self._margin = margin

    async def verdict(self, answer: CheckedAnswer) -> Verdict:
        """Return whether the mean margin of the answer's tokens is great enough."""
        margin = mean_margin(answer.completion.choices[0].logprobs)
        if margin is None:
            return Verdict(self.name, "undecided", "the provider gave no probabilities")
        words = f"the mean margin is {margin:.2f}, of {self._margin:.2f} that it must be"
        return Verdict(self.name, "passed" if margin >= self._margin else "failed", words)


def mean_margin(logprobs: list[Any] | None) -> float | None:
    """Return the mean lead (-1 to 1) of the written tokens over the next best ones.

    ``logprobs`` is in OpenAI's shape; of a token without alternatives, its probability less that
    of all others counts. ``None`` if a token has no probability, or there are no tokens.
    """
    margins = []
    for token in logprobs or ():
        try:
            written = _probability(token["logprob"])
            others = [
                _probability(other["logprob"])
                for other in token.get("top_logprobs") or ()
                if other["token"] != token["token"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        margins.append(written - max(others, default=1 - written))
    return sum(margins) / len(margins) if margins else None


def _probability(logprob: Any) -> float:
    return math.exp(min(0.0, float(logprob)))


def with_logprobs(chat: Chat) -> Chat:
    """Return ``chat`` so that the provider gives the probabilities that the check needs."""
    if chat.logprobs:
        return chat
    chat = replace(chat, logprobs=True, top_logprobs=2)
    source = chat.source
    if source is not None and source.wire == _OPENAI:
        # A provider with the client's own API is sent the body as it came.
        body = {**source.body, "logprobs": True, "top_logprobs": 2}
        chat = replace(chat, source=replace(source, body=body))
    return chat


def without_logprobs(completion: Completion) -> Completion:
    """Return an answer as it would be if nobody had asked for probabilities."""
    choices = tuple(replace(choice, logprobs=None) for choice in completion.choices)
    relayed = completion.relayed
    if relayed is not None and isinstance(relayed.body.get("choices"), list):
        bare = [
            {**choice, "logprobs": None} if isinstance(choice, dict) else choice
            for choice in relayed.body["choices"]
        ]
        relayed = RelayedAnswer({**relayed.body, "choices": bare}, headers=relayed.headers)
    return replace(completion, choices=choices, relayed=relayed)
