"""A request and what is known of it before a model answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from optimizer.domain.request import GatewayRequest
from routing.models import PromptAnalysis
from routing.rules import NO_EFFECT, Effect, Rule


@dataclass(frozen=True, slots=True)
class Assignment:
    """The experiment and the arm of a request; ``prefers`` is the model the arm prefers."""

    experiment: str
    arm: str
    prefers: Rule | None = None

    def on(self, effect: Effect) -> Effect:
        """Return what rules and the arm want together.

        A model is preferred rather than forced: that it cannot serve must not cost the client
        an answer. Operators' rules come first.
        """
        if self.prefers is None or effect.preferred is not None:
            return effect
        return replace(effect, preferred=self.prefers)


@dataclass(frozen=True, slots=True)
class AnalyzedRequest:
    """A request with its analysis, what the rules want of it, and its experiment, if any."""

    request: GatewayRequest
    analysis: PromptAnalysis
    effect: Effect = NO_EFFECT
    assignment: Assignment | None = None
