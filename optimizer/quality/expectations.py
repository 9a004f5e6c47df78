"""The expected score of a model on a prompt, before there are ratings."""

from __future__ import annotations

from typing import cast

from providers.catalogue import Catalogue
from routing.analysis import analyze_prompt
from routing.learning.posterior import expit, tier_prior
from routing.learning.predictor import QualityPredictor, logit_of_tier
from routing.models import Tier


class Expectations:
    """Expected scores from the trained predictor; without it or the prompt, from the tiers."""

    def __init__(self, catalogue: Catalogue, predictor: QualityPredictor | None) -> None:
        self._catalogue = catalogue
        self._predictor = predictor

    def expected(self, prompt: str, tier: str, provider: str, model: str) -> float:
        """Return the score, 0-1, expected of ``model`` on ``prompt`` of ``tier``.

        ``prompt`` is empty if it is not stored.
        """
        spec = self._catalogue.find(provider, model)
        strength = cast(Tier, spec.tier if spec else "moderate")
        if self._predictor is None or not prompt:
            return tier_prior(strength, cast(Tier, tier))
        analysis = analyze_prompt(prompt)
        assert analysis.text is not None
        anchors = self._predictor.anchors(analysis.text, analysis.pattern)
        return expit(logit_of_tier(anchors, strength))
