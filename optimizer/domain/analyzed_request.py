"""A request together with everything known about it before a model answers."""

from __future__ import annotations

from dataclasses import replace

from optimizer.domain.request import GatewayRequest
from providers.values import frozen
from routing.models import PromptAnalysis
from routing.rules import NO_EFFECT, Effect, Rule


@frozen
class Assignment:
    """The experiment and the arm of a request; ``prefers`` is the model the arm prefers."""

    experiment: str
    arm: str
    prefers: Rule | None = None

    def is_treated(self, experiment: str) -> bool:
        """Return whether the request is in the treatment arm of this experiment."""
        return self.experiment == experiment and self.arm == "treatment"

    def on(self, effect: Effect) -> Effect:
        """Return the combined effect of the rules and the experiment's arm.

        The arm prefers its model and does not force it: the client must get an answer even if
        that model cannot serve the request. Operators' rules take precedence.
        """
        if self.prefers is None or effect.preferred is not None:
            return effect
        return replace(effect, preferred=self.prefers)


@frozen
class AnalyzedRequest:
    """A request with its analysis, the effect of the rules on it, and its experiment, if any."""

    request: GatewayRequest
    analysis: PromptAnalysis
    effect: Effect = NO_EFFECT
    assignment: Assignment | None = None
